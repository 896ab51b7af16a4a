"""A pytest plugin for those who build on CairnFS: their own tests, against a cluster that fails when told to.

`plugin` is what pytest loads; `cluster` is what a test gets from the fixture `cairn_cluster`. docs/TESTING.md has an
example. Needs pytest 8 or newer, which is no dependency of the package.
"""
