"""Tables from whatever holds them, and which columns have a density."""

import re

import numpy as np
import pytest

from flowvi.density.columns import check_finite, noise_widths, repeats_of
from flowvi.density.rows import Rows, moments, moments_of_condition, split
from flowvi.density.table import read_table
from flowvi.errors import ArgumentError, DataError

RNG = np.random.default_rng(0)


def x_of(*columns):
    return read_table(np.column_stack(columns), "x")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.uint32, bool])
def test_arrays_of_any_real_dtype_are_taken_in_double_precision(dtype):
    values = np.arange(6).reshape(3, 2).astype(dtype)
    table = read_table(values, "x")
    assert table.take(np.array([2, 0])).dtype == np.float64
    np.testing.assert_array_equal(table.take(np.array([2, 0])), values[[2, 0]].astype(float))


def test_lists_and_vectors():
    assert read_table([[1, 2.5], [3, 4]], "x").values.tolist() == [[1, 2.5], [3, 4]]
    assert read_table((1.0, 2.0), "x").values.tolist() == [[1.0], [2.0]]


def test_a_memory_mapped_array_is_not_copied(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(12.0).reshape(4, 3))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert np.shares_memory(read_table(mapped, "x").values, mapped)


def test_data_frames_and_arrow_tables_bring_their_names():
    pandas, pyarrow = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"height": [1.5, 2.5], "age": np.array([3, 4], np.int16)})
    arrow = pyarrow.Table.from_pandas(frame)
    for table in (frame, arrow, arrow.to_batches()[0]):
        read = read_table(table, "x")
        assert read.names == ("height", "age")
        assert read.values.tolist() == [[1.5, 3.0], [2.5, 4.0]]


def test_whatever_streams_arrow_is_read():
    pyarrow = pytest.importorskip("pyarrow")

    class Relation:
        def __arrow_c_stream__(self, requested_schema=None):
            return pyarrow.table({"a": [1.0, 2.0]}).__arrow_c_stream__(requested_schema)

    assert read_table(Relation(), "x").names == ("a",)


def test_a_series_is_one_column():
    pandas = pytest.importorskip("pandas")
    assert read_table(pandas.Series([1.0, 2.0]), "x").values.tolist() == [[1.0], [2.0]]
    assert read_table(pandas.Series([1.0, 2.0], name="height"), "x").names == ("height",)
    assert read_table(pandas.Series([1.0, 2.0]), "x").names == ("0",)


def test_two_columns_of_one_name_are_refused_by_it():
    pandas, pyarrow = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    frame = pandas.DataFrame(np.zeros((3, 4)), columns=["a", "b", "a", "b"])
    arrow = pyarrow.table([[1.0], [2.0]], names=["a", "b"]).append_column("a", pyarrow.array([1.0]))
    for table, names in ((frame, "'a', 'b'"), (arrow, "'a'")):
        with pytest.raises(DataError, match=f"x has more than one column named {names}\\."):
            read_table(table, "x")


def test_objects_that_are_all_numbers_are_numbers():
    mixed = np.array([[1.5, True], [np.int8(2), np.bool_(False)]], object)
    assert read_table(mixed, "x").values.tolist() == [[1.5, 1.0], [2.0, 0.0]]
    # text is none, though it can be read as one
    for other in ("1.5", None, 1j):
        with pytest.raises(DataError, match=f"x holds objects, such as {other!r}".replace("(", ".")):
            read_table(np.array([[1.0, other]], object), "x")


def test_what_is_missing_in_a_frame_or_masked_array_is_found():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1.0, 2.0], "b": pandas.array([7, None], dtype="Int64")})
    with pytest.raises(DataError, match=r"x\['b'\] is nan in row 1"):
        check_finite(read_table(frame, "x"))
    with pytest.raises(DataError, match=r"x\['0'\] is nan in row 2"):
        check_finite(read_table(np.ma.masked_equal([1.0, 2.0, 9.0], 9.0), "x"))


NOT_TABLES = {
    "no rows": (np.zeros((0, 2)), r"shape \(0, 2\)"),
    "no columns": (np.zeros((2, 0)), r"shape \(2, 0\)"),
    "three axes": (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
    "a number": (3.0, "x is 3.0"),
    "ragged": ([[1.0, 2.0], [3.0]], "equal length"),
    "text": (np.array([["a"], ["b"]]), "holds text"),
    "objects": (np.array([[1, None]], object), "holds objects"),
    "complex": (np.zeros(3, complex), "complex numbers"),
    "dates": (np.zeros(3, "datetime64[s]"), "dates"),
}


@pytest.mark.parametrize(("data", "words"), NOT_TABLES.values(), ids=NOT_TABLES)
def test_what_is_no_table_of_numbers(data, words):
    with pytest.raises(DataError, match=words):
        read_table(data, "x")


def test_a_column_of_text_is_named():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(DataError, match=r"x\['colour'\] holds"):
        read_table(pandas.DataFrame({"a": [1.0], "colour": ["red"]}), "x")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_first_number_that_is_not_finite_is_named(monkeypatch, value):
    monkeypatch.setattr("flowvi.density.table._CHUNK", 20)
    values = RNG.normal(size=(100, 3))
    values[[67, 91], [2, 0]] = value
    with pytest.raises(DataError, match=rf"x\['2'\] is {value} in row 67"):
        check_finite(read_table(values, "x"))


def test_a_constant_column_is_refused_by_name_also_when_it_changes_between_pieces(monkeypatch):
    monkeypatch.setattr("flowvi.density.table._CHUNK", 20)
    with pytest.raises(DataError, match=r"x\['1'\] has 1 distinct value, 3"):
        check_finite(x_of(RNG.normal(size=50), np.full(50, 3.0)))
    check_finite(x_of(RNG.normal(size=50), np.repeat([1.0, 2.0], 25)))


CONTINUOUS = {
    "normal": RNG.normal(size=500),
    "float32": RNG.normal(size=5000).astype(np.float32),
    "rounded to 0.01 sd": RNG.normal(size=5000).round(2),
    "whole numbers over a wide range": RNG.integers(0, 10_000, size=5000),
    "three equal of fifty": np.concatenate([RNG.normal(size=47), np.zeros(3)]),
}
DISCRETE = {
    "binary": RNG.integers(0, 2, size=500),
    "counts": RNG.poisson(9.0, size=500),
    "rounded to 0.2 sd": (RNG.normal(size=5000) * 5).round() / 5,
}


@pytest.mark.parametrize("column", CONTINUOUS.values(), ids=CONTINUOUS)
def test_columns_with_a_density(column):
    assert not repeats_of(x_of(column))[0].discrete
    assert noise_widths(x_of(column), True).tolist() == [0.0]


@pytest.mark.parametrize("column", DISCRETE.values(), ids=DISCRETE)
def test_columns_without_one_are_refused_by_name_with_their_number_of_values(column):
    distinct = f"{len(np.unique(column)):,}"
    with pytest.raises(DataError, match=rf"x\['1'\].*{distinct} distinct values.*dequantise=True"):
        noise_widths(x_of(RNG.normal(size=len(column)), column), False)


def test_the_width_of_the_noise_is_the_distance_between_neighbours():
    tenths = 100 + 0.1 * RNG.poisson(4.0, size=500)
    every_third = 3.0 * RNG.integers(0, 9, size=500)
    widths = noise_widths(x_of(tenths, RNG.normal(size=500), every_third), True)
    np.testing.assert_allclose(widths, [0.1, 0.0, 3.0], rtol=1e-12)
    # float32 rounds the values, not the width
    narrow = noise_widths(x_of(tenths.astype(np.float32)), True)
    np.testing.assert_allclose(narrow, 0.1, rtol=1e-5)


def test_columns_to_spread_by_name_and_by_number():
    table = x_of(RNG.poisson(4.0, size=500), RNG.poisson(4.0, size=500))
    with pytest.raises(DataError, match=r"x\['1'\] is discrete"):
        noise_widths(table, ["0"])
    assert noise_widths(table, [0, "1"]).tolist() == [1.0, 1.0]
    assert noise_widths(table, np.array([0, 1])).tolist() == [1.0, 1.0]
    for other in ("age", 2, None, [2], True):
        with pytest.raises(ArgumentError, match=re.escape(f"names column {other!r}, but")):
            noise_widths(table, [other])
    for other in (None, 2.0):
        with pytest.raises(ArgumentError, match=f"dequantise={other!r} is of type"):
            noise_widths(table, other)


def test_whole_numbers_are_a_frames_labels_before_they_are_places():
    pandas = pytest.importorskip("pandas")
    values = np.column_stack([RNG.poisson(4.0, size=500), RNG.normal(size=500)])
    assert noise_widths(read_table(pandas.DataFrame(values, columns=[1, 0]), "x"), [1]).tolist() == [1, 0]
    assert noise_widths(read_table(pandas.DataFrame(values, columns=[3, 5]), "x"), 3).tolist() == [1, 0]
    with pytest.raises(ArgumentError, match="column 0, but the columns of x are 3, 5"):
        noise_widths(read_table(pandas.DataFrame(values, columns=[3, 5]), "x"), [0])
    # where labels are text
    assert noise_widths(read_table(pandas.DataFrame(values, columns=["a", "b"]), "x"), [0]).tolist() == [1, 0]


def test_values_on_no_lattice_cannot_be_spread_and_that_is_not_advised():
    zeros = np.where(RNG.uniform(size=2000) < 0.1, 0.0, RNG.normal(size=2000))
    with pytest.raises(DataError, match=r"x\['0'\] is discrete: .*Noise cannot mend that") as refused:
        noise_widths(x_of(zeros), False)
    assert "dequantise" not in str(refused.value)
    with pytest.raises(DataError, match=r"x\['0'\] cannot be dequantised.*not equally spaced"):
        noise_widths(x_of(zeros), True)


def test_moments_in_pieces_are_those_of_the_chosen_rows(monkeypatch):
    values = 1e6 + RNG.normal(size=(1000, 2)) * [1.0, 0.1]
    chosen = np.sort(RNG.permutation(1000)[:300])
    monkeypatch.setattr("flowvi.density.table._CHUNK", 50)
    location, scale = moments(read_table(values, "x"), chosen)
    np.testing.assert_allclose(location, values[chosen].mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(scale, values[chosen].std(axis=0), rtol=1e-8)


def test_a_column_that_is_constant_where_it_is_trained_on():
    column = np.zeros(100)
    column[-1] = 1.0
    with pytest.raises(DataError, match=r"x\['0'\] has a standard deviation of 0"):
        moments(x_of(column), np.arange(50))
    rounding = 1 + 1e-14 * RNG.normal(size=100)
    with pytest.raises(DataError, match=r"x\['0'\] has a standard deviation of .*e-1.* around 1 .*rounding"):
        moments(x_of(rounding), np.arange(50))
    with pytest.raises(DataError, match="out of range"):
        moments(x_of(RNG.normal(size=100) * 1e300), np.arange(50))


def test_a_condition_may_be_constant_where_it_is_trained_on():
    rare, rounding = np.zeros(100), 1 + 1e-14 * RNG.normal(size=100)
    rare[-1] = 1.0
    location, scale = moments_of_condition(x_of(rare, rounding, np.arange(100.0)), np.arange(50))
    np.testing.assert_allclose(location, [0.0, 1.0, 24.5])
    np.testing.assert_allclose(scale, [1.0, 1.0, np.arange(50.0).std()])


@pytest.mark.parametrize("n", [50, 99, 1000, 500_000])
def test_a_split_is_of_all_rows_once(n):
    parts = split(n, np.random.default_rng(0))
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(n))
    assert len(parts.test) == len(parts.validation)
    assert 10 <= len(parts.test) <= 10_000
    assert len(parts.train) >= 0.6 * n


def test_rows_come_standardised_in_the_order_asked_for_with_new_noise_each_time():
    values = np.column_stack([RNG.normal(5, 3, size=100), RNG.poisson(9.0, size=100)])
    table, condition = read_table(values, "x"), read_table(RNG.normal(size=100), "condition")
    every = np.arange(100)
    of_condition = condition, moments(condition, every)
    rows = Rows(table, np.array([0.0, 1.0]), moments(table, every), of_condition)
    numbers = np.array([7, 3, 3, 99])
    x, given = rows.take(numbers, np.random.default_rng(0))
    back = x * rows.moments.scale + rows.moments.location
    np.testing.assert_allclose(back[:, 0], values[numbers, 0], rtol=1e-12)
    assert np.all(np.abs(back[:, 1] - values[numbers, 1]) < 0.5)
    assert x[1, 1] != x[2, 1]
    np.testing.assert_allclose(
        given * of_condition[1].scale + of_condition[1].location, condition.values[numbers], rtol=1e-12
    )
