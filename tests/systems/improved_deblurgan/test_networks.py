"""Parameters and multiply-accumulates of the readings that the paper leaves open (README.md of the system)."""

import pytest

from tfdeblur import info
from tfdeblur.systems import build


@pytest.mark.parametrize(
    "arguments, parameters, gmacs",
    [
        ({}, 528_163, 60.15),
        ({"growth": 12}, 397_663, 52.6),
        ({"growth": 64}, 796_867, 75.6),
        ({"up_kind": "sep"}, 388_451, 53.0),
        ({"skip": "concat"}, 562_147, 74.5),
        ({"head": "separable"}, 513_014, 46.2),
    ],
)
def test_counts_of_the_readings(arguments, parameters, gmacs):
    net = build("improved_deblurgan", **arguments)
    assert net.count_params() == parameters
    assert info.multiply_accumulates(net, (720, 1280)) / 1e9 == pytest.approx(gmacs, abs=0.05)
