"""The RealBlur evaluator: warps and gains with known answers, scikit-image, and images that cannot be aligned."""

import importlib

import cv2
import numpy as np
import pytest

from tfdeblur.errors import DeblurError
from tfdeblur.metrics import NotScored, psnr, realblur_ecc, ssim

# `tfdeblur.metrics.realblur_ecc` is the function; this is the module.
module = importlib.import_module("tfdeblur.metrics.realblur_ecc")

# A gain of 0.8, a small rotation, 2 and 3 pixels of shift: from places in the truth to places in the image.
WARP = np.float32([[1.004, 0.01, 2], [-0.008, 0.998, -3], [0, 0, 1]])


def photograph(height=200, width=240):
    """uint8 [height, width, 3]."""
    data = pytest.importorskip("skimage.data")
    return data.astronaut()[40 : 40 + height, 120 : 120 + width]


def warped_pair():
    """(0.8 of the photograph seen through WARP with what lies around it, the photograph)."""
    data = pytest.importorskip("skimage.data")
    frame = data.astronaut()
    to_frame = np.float32([[1, 0, 120], [0, 1, 40], [0, 0, 1]])
    size = (240, 200)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    image = cv2.warpPerspective(0.8 * frame.astype(np.float32), to_frame @ np.linalg.inv(WARP), size, flags=flags)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), photograph()


def shift_by(down, right):
    """The homography of a restored image that lies (down, right) of the truth."""
    return np.float32([[1, 0, right], [0, 1, down], [0, 0, 1]])


def slow_scores(restored, sharp, homography):
    """Steps 1 and 3 to 5 of the docstring with scikit-image's SSIM map."""
    metrics = pytest.importorskip("skimage.metrics")
    x, z = (image.astype(np.float64) / 255 for image in (sharp, restored))
    z = (x * z).sum() / (z * z).sum() * z
    size = sharp.shape[1::-1]
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    z = cv2.warpPerspective(z.astype(np.float32), homography, size, flags=flags, borderMode=cv2.BORDER_REFLECT)
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    mask = cv2.warpPerspective(np.ones(sharp.shape, np.float32), homography, size, flags=flags).astype(np.float64)
    x, z = x * mask, z.astype(np.float64) * mask
    score = 10 * np.log10(mask.sum() / ((x - z) ** 2).sum())
    _, ssim_map = metrics.structural_similarity(
        x,
        z,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        truncate=3.5,
        use_sample_covariance=False,
        data_range=1.0,
        full=True,
    )
    channels = []
    for channel in range(3):
        total = count = 0.0
        for row in range(5, sharp.shape[0] - 5):
            total += (ssim_map[row, 5:-5, channel] * mask[row, 5:-5, channel]).sum()
            count += mask[row, 5:-5, channel].sum()
        channels.append(total / count)
    return score, np.mean(channels)


def test_an_aligned_pair_scores_as_unaligned_but_for_the_gain():
    sharp = photograph()
    noise = np.random.default_rng(0).normal(0, 10, sharp.shape)
    restored = np.clip(sharp + noise, 0, 255).astype(np.uint8)
    score, similarity = realblur_ecc(restored, sharp)
    assert score == pytest.approx(psnr(restored, sharp), abs=0.1)
    assert similarity == pytest.approx(ssim(restored, sharp), abs=0.02)


def test_a_gain_costs_nothing():
    sharp = photograph() // 5 * 5
    score, similarity = realblur_ecc(sharp // 5 * 4, sharp)
    # ECC in float32 stops at a thousandth of a pixel.
    assert score > 60 and similarity > 0.9999
    assert psnr(sharp // 5 * 4, sharp) < 20


def test_a_warp_is_found_and_undone():
    restored, sharp = warped_pair()
    score, similarity = realblur_ecc(restored, sharp)
    assert score > 33 and similarity > 0.97
    assert psnr(restored, sharp) < 16 and ssim(restored, sharp) < 0.6


def test_the_homography_points_from_the_truth_into_the_image():
    restored, sharp = (image.astype(np.float32) / 255 for image in warped_pair())
    homography = module._homography(sharp, restored)
    # 100 iterations do not settle all eight parameters, but they place the corners to a third of a pixel.
    corners = np.float32([[[10, 10], [229, 10], [10, 189], [229, 189]]])
    found, expected = (cv2.perspectiveTransform(corners, matrix) for matrix in (homography, WARP))
    assert np.abs(found - expected).max() < 0.35
    assert np.abs(corners - expected).max() > 2


def test_the_mask_by_hand(monkeypatch):
    # Alignment of whole pixels is exact, so all is known: 6 rows and 9 columns have no partner and do not count.
    sharp = photograph()
    restored = np.roll(sharp, (6, -9), axis=(0, 1))
    restored[20, 30] = 255 - restored[20, 30]
    monkeypatch.setattr(module, "_homography", lambda template, image: shift_by(6, -9))
    x, z = sharp / 255, restored / 255
    gained = (x * z).sum() / (z * z).sum() * z
    inside = x[:-6, 9:] - gained[6:, :-9]
    expected = 10 * np.log10(inside.size / np.sum(inside**2))
    score, similarity = realblur_ecc(restored, sharp)
    assert score == pytest.approx(expected, abs=1e-4)  # float32
    assert (score, similarity) == pytest.approx(slow_scores(restored, sharp, shift_by(6, -9)), abs=1e-4)


def test_matches_scikit_image_with_the_same_homography():
    restored, sharp = warped_pair()
    x, z = (image.astype(np.float32) / 255 for image in (sharp, restored))
    z *= (x * z).sum() / (z * z).sum()
    homography = module._homography(x, z)
    assert realblur_ecc(restored, sharp) == pytest.approx(slow_scores(restored, sharp, homography), abs=1e-3)


def test_ecc_is_asked_as_the_benchmark_asks(monkeypatch):
    restored, sharp = warped_pair()
    asked = {}

    def find(template, image, start, motion, criteria, inputMask, gaussFiltSize):
        asked.update(template=template, image=image, start=start.copy())
        asked["rest"] = (motion, criteria, inputMask, gaussFiltSize)
        return 1.0, start

    monkeypatch.setattr(cv2, "findTransformECC", find)
    realblur_ecc(restored, sharp)
    flags = cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS
    assert asked["rest"] == (cv2.MOTION_HOMOGRAPHY, (flags, 100, 0), None, 5)
    np.testing.assert_array_equal(asked["start"], np.eye(3))
    luma = sharp @ np.array([0.299, 0.587, 0.114]) / 255
    np.testing.assert_allclose(asked["template"], luma, atol=1e-5)
    x, z = sharp / 255, restored / 255
    gained = (x * z).sum() / (z * z).sum() * (restored @ np.array([0.299, 0.587, 0.114]) / 255)
    np.testing.assert_allclose(asked["image"], gained, atol=1e-5)
    assert asked["template"].dtype == asked["image"].dtype == np.float32


# --------------------------------------------------------------------------------------------- not scored


def noise_image():
    return np.random.default_rng(0).integers(0, 256, (200, 240, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "restored, reason",
    [
        (noise_image, "did not converge"),
        (lambda: 255 - photograph(), "did not converge"),
        (lambda: np.full((200, 240, 3), 90, np.uint8), "did not converge"),
        (lambda: np.zeros((200, 240, 3), np.uint8), "black"),
    ],
    ids=["noise", "negative", "flat", "black"],
)
def test_what_cannot_be_aligned_is_not_scored(restored, reason):
    with pytest.raises(NotScored, match=f"protocol realblur_ecc.*{reason}") as caught:
        realblur_ecc(restored(), photograph())
    assert "\n" not in str(caught.value) and isinstance(caught.value, DeblurError)


@pytest.mark.parametrize("homography", [shift_by(0, 1000), np.full((3, 3), np.nan, np.float32)])
def test_a_warp_out_of_the_frame_is_not_scored(monkeypatch, homography):
    monkeypatch.setattr(module, "_homography", lambda template, image: homography)
    with pytest.raises(NotScored, match="out of the frame"):
        realblur_ecc(photograph(), photograph())


def test_other_errors_of_opencv_are_not_hidden(monkeypatch):
    def fail(*arguments, **names):
        error = cv2.error("something else")
        error.code, error.err = cv2.Error.StsBadArg, "bad"
        raise error

    monkeypatch.setattr(cv2, "findTransformECC", fail)
    with pytest.raises(cv2.error, match="something else"):
        realblur_ecc(photograph(), photograph())


def test_refusals():
    image = photograph()
    with pytest.raises(ValueError, match="restored must be uint8"):
        realblur_ecc(image / 255, image)
    with pytest.raises(DeblurError, match="protocol realblur_ecc .*11x11.*10x240"):
        realblur_ecc(image[:10], image[:10])
