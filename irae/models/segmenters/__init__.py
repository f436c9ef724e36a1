"""The segmenters behind the port ``core.ports.Segmenter``; chosen by name in ``app/build.py``."""

from irae.models.segmenters.masks import MaskSegmenter
from irae.models.segmenters.monai_bundle import MonaiBundleSegmenter
from irae.models.segmenters.packaged import PackagedSegmenter
from irae.models.segmenters.totalsegmentator import TotalSegmentatorSegmenter

__all__ = ["MaskSegmenter", "MonaiBundleSegmenter", "PackagedSegmenter", "TotalSegmentatorSegmenter"]
