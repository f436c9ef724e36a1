"""What may leave: the attributes that de-identification keeps, and the form each value must have.

The profile (DICOM PS3.15 Annex E) lists what to remove; here a table lists what to keep. An attribute nobody thought of
is therefore removed, not leaked.
"""

from __future__ import annotations

import re

SOP_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT", "1.2.840.10008.5.1.4.1.1.2.1": "CT", "1.2.840.10008.5.1.4.1.1.2.2": "CT",
    "1.2.840.10008.5.1.4.1.1.128": "PT", "1.2.840.10008.5.1.4.1.1.130": "PT", "1.2.840.10008.5.1.4.1.1.128.1": "PT",
    "1.2.840.10008.5.1.4.1.1.4": "MR", "1.2.840.10008.5.1.4.1.1.4.1": "MR", "1.2.840.10008.5.1.4.1.1.4.4": "MR",
    "1.2.840.10008.5.1.4.1.1.66.4": "SEG",
}

# --- what is kept, and the form it must have

NUMBERS = frozenset("""
    PatientSize PatientWeight SeriesNumber AcquisitionNumber InstanceNumber NumberOfFrames SliceThickness
    SpacingBetweenSlices SliceLocation KVP RepetitionTime EchoTime InversionTime FlipAngle MagneticFieldStrength
    EchoTrainLength NumberOfAverages ImagingFrequency GantryDetectorTilt TableHeight ReconstructionDiameter
    DataCollectionDiameter Exposure ExposureTime XRayTubeCurrent ActualFrameDuration TriggerTime
    ImagePositionPatient ImageOrientationPatient PixelSpacing ImagerPixelSpacing TemporalPositionIdentifier
    NumberOfTemporalPositions ImagesInAcquisition Rows Columns SamplesPerPixel PlanarConfiguration PixelAspectRatio
    BitsAllocated BitsStored HighBit PixelRepresentation SmallestImagePixelValue LargestImagePixelValue
    PixelPaddingValue PixelPaddingRangeLimit RescaleIntercept RescaleSlope WindowCenter WindowWidth
    LossyImageCompressionRatio NumberOfSlices NumberOfTimeSlices NumberOfRotations NumberOfRRIntervals ImageIndex
    FrameReferenceTime DecayFactor DoseCalibrationFactor ScatterFractionFactor DeadTimeFactor
    PrimaryPromptsCountsAccumulated SecondaryCountsAccumulated SliceSensitivityFactor AxialAcceptance AxialMash
    TransverseMash CoincidenceWindowWidth
    RadionuclideTotalDose RadionuclideHalfLife RadionuclidePositronFraction RadiopharmaceuticalVolume
    RadiopharmaceuticalSpecificActivity EnergyWindowLowerLimit EnergyWindowUpperLimit TableSpeed SpiralPitchFactor
    DimensionIndexValues InStackPositionNumber TemporalPositionIndex FrameAcquisitionNumber FrameAcquisitionDuration
    StackID SegmentNumber ReferencedSegmentNumber ReferencedFrameNumber MaximumFractionalValue
    RecommendedDisplayCIELabValue RealWorldValueSlope RealWorldValueIntercept RealWorldValueFirstValueMapped
    RealWorldValueLastValueMapped DoubleFloatRealWorldValueFirstValueMapped DoubleFloatRealWorldValueLastValueMapped
    DimensionIndexPointer FunctionalGroupPointer EffectiveEchoTime NumberOfPhaseEncodingSteps PercentSampling
    PercentPhaseFieldOfView PixelBandwidth AcquisitionMatrix SAR
""".split())  # noqa: SIM905

WORDS: dict[str, frozenset[str]] = {
    keyword: frozenset(words.split())
    for keyword, words in {
        "SpecificCharacterSet": "ISO_IR 100 192 ISO_IR_100",
        "Modality": "CT PT MR SEG",
        "PatientSex": "M F O",
        "ImageType": "ORIGINAL DERIVED PRIMARY SECONDARY AXIAL LOCALIZER CT_SOM5 SPI REFORMATTED MPR MIP MINIP AVERAGE "
        "PROJECTION OTHER M SE FFE NORM DIS2D DIS3D VOLUME NONE SUBTRACT DYNAMIC STATIC GATED AC NAC ADDITION HELICAL "
        "RESAMPLED RECON WATER FAT IN_PHASE OUT_PHASE MAX_IP MIN_IP MAGNITUDE T1 T2 ND DFOV",
        "FrameType": "ORIGINAL DERIVED PRIMARY SECONDARY AXIAL LOCALIZER VOLUME NONE MPR MAX_IP MIN_IP STATIC DYNAMIC "
        "T1 OTHER",
        "BodyPartExamined": "HEAD NECK CHEST ABDOMEN PELVIS WHOLEBODY BRAIN HEADNECK CHESTABDPELVIS ABDOMENPELVIS "
        "CHESTABDOMEN PITUITARY SELLA THYROID SKULL TSPINE LSPINE EXTREMITY TRUNK COLON LIVER LUNG",
        "ScanningSequence": "SE IR GR EP RM",
        "SequenceVariant": "SK MTC SS TRSS SP MP OSP NONE",
        "ScanOptions": "HELICAL AXIAL MODE FS PFF PFP SAT FC RG CG PPG SP PFS HELIX SPIRAL",
        "MRAcquisitionType": "2D 3D",
        "PatientPosition": "HFS HFP HFDR HFDL FFS FFP FFDR FFDL",
        "PhotometricInterpretation": "MONOCHROME1 MONOCHROME2",
        "LossyImageCompression": "00 01",
        "LossyImageCompressionMethod": "ISO_10918_1 ISO_14495_1 ISO_15444_1",
        "BurnedInAnnotation": "NO",
        "RescaleType": "HU US SUV BQML CNTS",
        "CorrectedImage": "DECY ATTN SCAT DTIM MOTN PMOT CLN RAN RADL DCAL NORM BASELINE BCK UNCOR RANSNG "
        "SLSENS",
        "SeriesType": "STATIC DYNAMIC GATED WHOLE BODY IMAGE REPROJECTION",
        "Units": "CNTS NONE CM2 PCNT CPS BQML MGMINML UMOLMINML MLMING MLG 1CM UMOLML PROPCNTS PROPCPS MLMINML MLML "
        "GML STDDEV",
        "SUVType": "BSA BW LBM LBMJANMA LBMJAMES128 IBW",
        "CountsSource": "EMISSION TRANSMISSION",
        "DecayCorrection": "NONE START ADMIN",
        "DecayCorrected": "YES NO",
        "AttenuationCorrected": "YES NO",
        "RandomsCorrectionMethod": "NONE DLYD SING",
        "CollimatorType": "NONE RING",
        "ReprojectionMethod": "SUM MAX",
        "SegmentationType": "BINARY FRACTIONAL LABELMAP",
        "SegmentationFractionalType": "PROBABILITY OCCUPANCY",
        "SegmentAlgorithmType": "AUTOMATIC SEMIAUTOMATIC MANUAL",
        "SegmentsOverlap": "YES NO UNDEFINED",
        "SpatialLocationsPreserved": "YES NO REORIENTED_ONLY",
        "DimensionOrganizationType": "3D 3D_TEMPORAL TILED_FULL TILED_SPARSE",
        "VolumetricProperties": "VOLUME SAMPLED DISTORTED MIXED",
        "PresentationLUTShape": "IDENTITY INVERSE",
        "PixelPresentation": "MONOCHROME",
        "AcquisitionContrast": "T1 T2 PROTON_DENSITY UNKNOWN FLUID_ATTENUATED",
    }.items()
}

DATES = frozenset({"StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"})
DATETIMES = frozenset({
    "AcquisitionDateTime", "RadiopharmaceuticalStartDateTime", "RadiopharmaceuticalStopDateTime",
    "DecayCorrectionDateTime", "FrameAcquisitionDateTime", "FrameReferenceDateTime",
})
TIMES = frozenset({
    "StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime", "RadiopharmaceuticalStartTime",
    "RadiopharmaceuticalStopTime",
})
UIDS = frozenset({
    "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "ReferencedSOPInstanceUID",
    "SynchronizationFrameOfReferenceUID", "DimensionOrganizationUID", "TrackingUID", "ConcatenationUID",
})
SEQUENCES = frozenset({
    "RadiopharmaceuticalInformationSequence", "RadionuclideCodeSequence", "RadiopharmaceuticalCodeSequence",
    "PatientOrientationCodeSequence", "PatientOrientationModifierCodeSequence", "PatientGantryRelationshipCodeSequence",
    "EnergyWindowRangeSequence", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence", "FrameContentSequence",
    "PixelValueTransformationSequence", "CTImageFrameTypeSequence", "MRImageFrameTypeSequence",
    "PETFrameTypeSequence", "FrameVOILUTSequence", "DimensionOrganizationSequence", "DimensionIndexSequence",
    "SegmentSequence", "SegmentIdentificationSequence", "SegmentedPropertyCategoryCodeSequence",
    "SegmentedPropertyTypeCodeSequence", "DerivationImageSequence", "SourceImageSequence", "DerivationCodeSequence",
    "PurposeOfReferenceCodeSequence",
    "ReferencedSeriesSequence", "ReferencedInstanceSequence", "RealWorldValueMappingSequence",
    "MeasurementUnitsCodeSequence", "MREchoSequence", "MRTimingAndRelatedParametersSequence", "CTPositionSequence",
})
# Descriptions keep those of their words that say what a series is (Clean Descriptors option).
DESCRIPTIONS = frozenset({
    "SeriesDescription", "ProtocolName", "SegmentLabel", "SequenceName", "ConvolutionKernel", "ContrastBolusAgent",
    "Radiopharmaceutical", "Manufacturer",
})
VOCABULARY = frozenset("""
    ct pet pt mr mri ac nac wb whole body corrected uncorrected attenuation correction ctac low dose diagnostic ldct
    axial ax sagittal sag coronal cor oblique tra transverse localizer localiser scout topogram surview survey mip minip
    mpr recon reformatted projection subtraction sub fused fusion thin thick standard soft tissue lung bone brain edge
    detail sharp smooth head neck chest thorax abdomen abd pelvis pel pituitary sella hypophysis thyroid t1 t2 t1w t2w
    flair dwi adc swi pd tof perf se tse fse gre spgr mprage vibe space bravo tfe flash dixon fs fat sat post pre gd
    gad contrast ce c ce_t1 iv oral native plain without with venous portal arterial delayed phase 2d 3d static dynamic
    gated wbct wbpet suv raw emission fdg f18 18f fluorodeoxyglucose ga68 68ga dotatate psma siemens healthineers ge
    medical systems philips toshiba canon uih cps cti hitachi liver spleen colon kidney heart aorta stomach bladder
    pancreas spine vertebrae left right organ lesion segment inflammation metastasis physiologic indeterminate
""".split())  # noqa: SIM905
KERNEL = re.compile(r"(?i)[a-z]{1,2}\d{2}[a-z]?|fc\d{2}|[a-e]|\d{1,2}mm")
PRIVATE = (  # what SUV needs of the vendors: (group, creator, offset, is a date-time)
    (0x7053, "Philips PET Private Group", 0x00, False),  # SUV scale factor
    (0x7053, "Philips PET Private Group", 0x09, False),  # activity concentration scale factor
    (0x0009, "GEMS_PETD_01", 0x0D, True),  # start of the scan
)
