"""THE COMMAND: the only place that prints and exits. One module a family of commands, loaded when it is run.

main      the group, the error door, exit codes     settings  flag > CAIRN_* > files, and where each value is from
serve     a role, its listeners and its settings    common    what commands share: options, connection, output
servers   init, master, chunkserver, up, config     names, content, copying, trash, health, chunks: all others

Nobody else imports it, but `__main__`.
"""
