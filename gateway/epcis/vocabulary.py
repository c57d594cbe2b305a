"""The standard vocabulary of CBV 2.0 and the properties of EPCIS 2.0, as plain sets.

Bare words are what JSON-LD documents carry; each vocabulary's Web URI is a prefix and the word.
Units are given per measurement type only as far as a report would be meaningless otherwise: the
UN/CEFACT Recommendation 20 codes of one dimension.
"""

from __future__ import annotations

from dataclasses import dataclass

CBV = "https://ref.gs1.org/cbv/"
GS1_VOC = "https://ref.gs1.org/voc/"
GS1_VOC_ALIASES = ("https://gs1.org/voc/", "http://gs1.org/voc/", "https://www.gs1.org/voc/")
"""Earlier addresses of the GS1 Web Vocabulary; the published EPCIS 2.0.0 context had the first."""

STANDARD_PREFIXES: dict[str, str] = {
    "cbv": CBV,
    "gs1": GS1_VOC,
    "epcis": "https://ref.gs1.org/epcis/",
    "cbvmda": "urn:epcglobal:cbv:mda:",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "dcterms": "http://purl.org/dc/terms/",
}
"""Prefixes the EPCIS 2.0 JSON-LD context itself declares."""

VALUE_PREFIXES = ("cbv", "gs1", "epcis")
"""Standard prefixes that are expanded in values too (CBV 2.0 §8.9)."""

EPCIS_CONTEXTS = (
    "https://ref.gs1.org/standards/epcis/",
    "https://gs1.github.io/EPCIS/",
)
"""A context whose address starts so is the EPCIS 2.0 context."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """One CBV vocabulary: words, their Web URI prefix, the URN prefix of EPCIS 1.x ("" if none)."""

    name: str
    web_uri: str
    urn: str
    words: frozenset[str]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


BIZ_STEP = Vocabulary(
    "bizStep",
    CBV + "BizStep-",
    "urn:epcglobal:cbv:bizstep:",
    _words(
        """accepting arriving assembling collecting commissioning consigning
        creating_class_instance cycle_counting decommissioning departing destroying disassembling
        dispensing encoding entering_exiting holding inspecting installing killing loading other
        packing picking receiving removing repackaging repairing replacing reserving
        retail_selling sampling sensor_reporting shipping staging_outbound stock_taking stocking
        storing transporting unloading unpacking void_shipping"""
    ),
)
DISPOSITION = Vocabulary(
    "disposition",
    CBV + "Disp-",
    "urn:epcglobal:cbv:disp:",
    _words(
        """active available completeness_inferred completeness_verified conformant
        container_closed container_open damaged destroyed dispensed disposed encoded expired
        in_progress in_transit inactive mismatch_class mismatch_instance mismatch_quantity
        needs_replacement no_pedigree_match non_conformant non_sellable_other partially_dispensed
        recalled reserved retail_sold returned sellable_accessible sellable_not_accessible stolen
        unavailable unknown"""
    ),
)
TRANSACTION_TYPE = Vocabulary(
    "bizTransaction type",
    CBV + "BTT-",
    "urn:epcglobal:cbv:btt:",
    _words("bol cert desadv inv pedigree po poc prodorder recadv rma testprd testres upevt"),
)
SOURCE_DEST_TYPE = Vocabulary(
    "source or destination type",
    CBV + "SDT-",
    "urn:epcglobal:cbv:sdt:",
    _words("owning_party possessing_party location"),
)
ERROR_REASON = Vocabulary(
    "error reason",
    CBV + "ER-",
    "urn:epcglobal:cbv:er:",
    _words("did_not_occur incorrect_data"),
)
COMPONENT = Vocabulary(
    "sensor component",
    CBV + "Comp-",
    "",
    _words(
        """x y z axial_distance azimuth height spherical_radius polar_angle elevation_angle
        easting northing latitude longitude altitude"""
    ),
)
SENSOR_ALERT = Vocabulary(
    "sensor exception", GS1_VOC, "", _words("ALARM_CONDITION ERROR_CONDITION")
)
MEASUREMENT = Vocabulary(
    "measurement type",
    GS1_VOC,
    "",
    _words(
        """AbsoluteHumidity AbsorbedDose AbsorbedDoseRate Acceleration Radioactivity Altitude
        AmountOfSubstance AmountOfSubstancePerUnitVolume Angle AngularAcceleration
        AngularMomentum AngularVelocity Area Capacitance Conductance Conductivity Count Density
        Dimensionless DoseEquivalent DoseEquivalentRate DynamicViscosity ElectricCharge
        ElectricCurrent ElectricCurrentDensity ElectricFieldStrength Energy Exposure Force
        Frequency Illuminance Inductance Irradiance KinematicViscosity Length LinearMomentum
        Luminance LuminousFlux LuminousIntensity MagneticFlux MagneticFluxDensity
        MagneticVectorPotential Mass MassConcentration MassFlowRate MassPerAreaTime
        MemoryCapacity MolalityOfSolute MolarEnergy MolarMass MolarVolume Power Pressure
        RadiantFlux RadiantIntensity RelativeHumidity Resistance Resistivity SolidAngle
        SpecificVolume Speed SurfaceDensity SurfaceTension Temperature Time Torque Voltage Volume
        VolumeFlowRate VolumeFraction VolumetricFlux Wavenumber"""
    ),
)
VOCABULARIES = (
    BIZ_STEP,
    DISPOSITION,
    TRANSACTION_TYPE,
    SOURCE_DEST_TYPE,
    ERROR_REASON,
    COMPONENT,
    SENSOR_ALERT,
    MEASUREMENT,
)

UNITS: dict[str, frozenset[str]] = {
    "Temperature": _words("CEL FAH KEL A48"),
    "Speed": _words("MTS KMH 2X 2M C16 M62 KNT HM M57 M58 FS FR K14 IU M63"),
    "Illuminance": _words("LUX KLX P25 P26 P27 B60"),
    "Pressure": _words(
        "PAL KPA MPA MBR BAR ATM ATT PS A89 A97 B96 H75 HN HP F78 F79 UA 74 80 84 C55 C56"
    ),
}
"""Units a report of that type may carry where the dimension leaves no doubt."""

EVENT_TYPES = (
    "ObjectEvent",
    "AggregationEvent",
    "TransactionEvent",
    "TransformationEvent",
    "AssociationEvent",
)

_COMMON = _words(
    """@context type eventTime recordTime eventTimeZoneOffset eventID certificationInfo
    errorDeclaration bizStep disposition persistentDisposition readPoint bizLocation
    bizTransactionList sourceList destinationList sensorElementList"""
)
PROPERTIES: dict[str, frozenset[str]] = {
    "ObjectEvent": _COMMON | _words("action epcList quantityList ilmd"),
    "AggregationEvent": _COMMON | _words("action parentID childEPCs childQuantityList"),
    "TransactionEvent": _COMMON | _words("action parentID epcList quantityList"),
    "TransformationEvent": _COMMON
    | _words(
        """inputEPCList inputQuantityList outputEPCList outputQuantityList transformationID
        ilmd"""
    ),
    "AssociationEvent": _COMMON | _words("action parentID childEPCs childQuantityList"),
}
"""The standard properties of each event type (EPCIS 2.0 §7.4)."""

SENSOR_METADATA = _words(
    """time startTime endTime deviceID deviceMetadata rawData dataProcessingMethod bizRules"""
)
SENSOR_REPORT = _words(
    """type exception deviceID deviceMetadata rawData dataProcessingMethod bizRules time
    microorganism chemicalSubstance coordinateReferenceSystem value component stringValue
    booleanValue hexBinaryValue uriValue minValue maxValue meanValue sDev percRank percValue
    uom"""
)
