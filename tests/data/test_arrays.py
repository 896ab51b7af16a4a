"""zarr and xarray: arrays as many small files, and as one NetCDF file."""

import numpy as np
import pytest
import xarray as xr
import zarr

VALUES = np.arange(60_000, dtype="float32").reshape(300, 200)


@pytest.fixture
def store(url):
    return zarr.storage.FsspecStore.from_url(url + "/a.zarr")


def test_an_array_is_written_and_read_by_blocks(store, fs, root):
    array = zarr.create_array(store, shape=VALUES.shape, chunks=(100, 100), dtype=VALUES.dtype)
    array[:] = VALUES
    array[10:12, 5] = 7
    back = zarr.open_array(store, mode="r")
    expected = VALUES.copy()
    expected[10:12, 5] = 7
    np.testing.assert_array_equal(back[:], expected)
    np.testing.assert_array_equal(back[150:250, ::50], expected[150:250, ::50])
    assert len(fs.find(f"{root}/a.zarr/c")) == 6


def test_groups_attributes_and_deletion(store):
    group = zarr.open_group(store, mode="w")
    group.attrs["unit"] = "K"
    group.create_array("t", data=VALUES)
    group.create_group("deep").create_array("u", data=VALUES[:3])
    again = zarr.open_group(store, mode="a")
    assert again.attrs["unit"] == "K"
    assert sorted(again.keys()) == ["deep", "t"]
    np.testing.assert_array_equal(again["deep/u"][:], VALUES[:3])
    del again["deep"]
    assert sorted(zarr.open_group(store, mode="r").keys()) == ["t"]


def dataset(first, count):
    days = np.arange(first, first + count)
    return xr.Dataset({"t": (("day", "x"), days[:, None] * np.ones((1, 4)))}, coords={"day": days, "x": list("abcd")})


def test_a_labelled_data_set_grows_along_a_dimension(url):
    dataset(0, 3).to_zarr(f"{url}/days.zarr", consolidated=False)
    dataset(3, 2).to_zarr(f"{url}/days.zarr", append_dim="day", consolidated=False)
    with xr.open_zarr(f"{url}/days.zarr", chunks=None, consolidated=False) as back:
        assert list(back["day"].values) == [0, 1, 2, 3, 4]
        assert float(back["t"].sel(day=4, x="c")) == 4.0
        xr.testing.assert_equal(back.load(), dataset(0, 5))


def test_a_netcdf_file_is_read_where_it_lies(fs, root, tmp_path):
    """h5netcdf seeks to and fro in the file object."""
    dataset(0, 50).to_netcdf(tmp_path / "days.nc", engine="h5netcdf")
    fs.put_file(str(tmp_path / "days.nc"), f"{root}/days.nc")
    with fs.open(f"{root}/days.nc", "rb") as file, xr.open_dataset(file, engine="h5netcdf") as back:
        xr.testing.assert_equal(back.load(), dataset(0, 50))
