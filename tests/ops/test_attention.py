"""Attention in pieces is attention, and its pieces are as small as promised."""

import numpy as np
import pytest

from tfdeblur.compat import tf
from tfdeblur.ops import attention


def values(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def three(batch=2, count=13, inner=3, outer=4, dtype=np.float32):
    """Queries, keys and values."""
    return [values(batch, count, size, seed=n, dtype=dtype) for n, size in enumerate((inner, inner, outer))]


def plain(queries, keys, values):
    """The formula, in float64."""
    logits = np.einsum("bnd,bmd->bnm", *(x.astype(np.float64) for x in (queries, keys)))
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.einsum("bnm,bmc->bnc", weights / weights.sum(axis=-1, keepdims=True), values)


def test_by_hand():
    # The first query finds both keys alike; the second one the first key e^2 times as good.
    queries, keys = np.float32([[[0, 0], [2, 0]]]), np.float32([[[1, 0], [0, 5]]])
    result = attention.attend(queries, keys, np.float32([[[10], [20]]]))
    weight = np.exp(2) / (np.exp(2) + 1)
    np.testing.assert_allclose(result, [[[15], [10 * weight + 20 * (1 - weight)]]], rtol=1e-6)


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-5), (np.float64, 1e-12)])
@pytest.mark.parametrize("at_once", [None, 1, 4, 12, 13, 100])
@pytest.mark.parametrize("known", [True, False])
def test_pieces_of_any_size_are_the_plain_formula(at_once, known, dtype, tolerance):
    inputs = three(dtype=dtype)
    signature = [tf.TensorSpec(x.shape if known else [None, None, x.shape[-1]], dtype) for x in inputs]
    graph = tf.function(lambda *x: attention.attend(*x, queries_at_once=at_once), input_signature=signature)
    for run in (graph, lambda *x: attention.attend(*map(tf.constant, x), queries_at_once=at_once)):
        result = run(*inputs)
        assert result.dtype == dtype
        np.testing.assert_allclose(result, plain(*inputs), atol=tolerance)
    assert graph.get_concrete_function().output_shapes.as_list() == ([2, 13, 4] if known else [None, None, 4])


def test_fewer_keys_than_queries():
    queries, keys, values = three()
    result = attention.attend(queries, keys[:, :5], values[:, :5], queries_at_once=3)
    np.testing.assert_allclose(result, plain(queries, keys[:, :5], values[:, :5]), atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_softmax_of_half_precision_is_in_float32(dtype):
    # Products of 30000 are beyond float16, and apart by less than bfloat16's steps.
    queries = tf.cast(tf.fill([1, 2, 1], 200.0), dtype)
    keys = tf.cast([[[200.0], [201.0]]], dtype)
    result = attention.attend(queries, keys, tf.cast([[[1.0], [3.0]]], dtype), queries_at_once=1)
    assert result.dtype == dtype
    np.testing.assert_array_equal(tf.cast(result, tf.float32), [[[3.0], [3.0]]])


@pytest.mark.parametrize("known", [True, False])
def test_pieces_train_as_the_plain_formula_does(known):
    inputs = [tf.constant(x) for x in three()]
    upstream = values(2, 13, 4, seed=9)

    def gradients(at_once):
        def run(*x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                value = tf.reduce_sum(upstream * attention.attend(*x, queries_at_once=at_once))
            return tape.gradient(value, x)

        sizes = [x.shape if known else [None, None, x.shape[-1]] for x in inputs]
        return tf.function(run, input_signature=[tf.TensorSpec(size, tf.float32) for size in sizes])(*inputs)

    for found, expected in zip(gradients(4), gradients(13), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("known", [True, False])
def test_no_matrix_is_larger_than_the_piece(known, monkeypatch):
    monkeypatch.setattr(attention, "piece_bytes", lambda: 4 * 2 * 13 * 3 + 1)  # 3 queries, 2 images, 13 keys
    seen, softmax = [], tf.nn.softmax
    monkeypatch.setattr(tf.nn, "softmax", lambda x: seen.append(tuple(x.shape)) or softmax(x))
    if not known:
        monkeypatch.setattr(attention, "_size", lambda x, axis: tf.shape(x)[axis])
    attention.attend(*map(tf.constant, three()))
    assert seen == [(2, 3, 13)] * 4 + [(2, 1, 13)]


def test_the_piece_depends_on_the_memory_at_hand(monkeypatch):
    most = attention._MOST_BYTES["GPU" if tf.config.list_physical_devices("GPU") else "CPU"]
    monkeypatch.setattr(attention, "_free_memory", lambda: 2**45)
    assert attention.piece_bytes() == most
    monkeypatch.setattr(attention, "_free_memory", lambda: 64 * 2**20)
    assert attention.piece_bytes() == 2**20


def test_traced_in_one_piece_there_is_no_loop():
    specs = [tf.TensorSpec([1, 50, size], tf.float32) for size in (2, 2, 3)]

    def trace():
        graph = tf.function(lambda *x: attention.attend(*x, queries_at_once=5)).get_concrete_function(*specs).graph
        return {op.type for op in graph.get_operations()}

    with attention.in_one_piece():
        assert "BatchMatMulV2" in trace()
    assert {"While", "StatelessWhile"} & trace()
