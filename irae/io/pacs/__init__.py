"""Archives behind a network: DICOMweb and DIMSE sources fetched into a folder, and a receiver that fills one."""

from irae.io.pacs.address import Address, is_remote, parse_address
from irae.io.pacs.credentials import Credentials, read_credentials
from irae.io.pacs.fetch import FetchReport, SeriesAtSource, fetch
from irae.io.pacs.query import Link, Query, Retrieve, SourceError
from irae.io.pacs.receive import Received, receiving
from irae.io.pacs.store import RefusedError, Store

__all__ = [
    "Address", "Credentials", "FetchReport", "Link", "Query", "Received", "RefusedError", "Retrieve", "SeriesAtSource",
    "SourceError", "Store", "fetch", "is_remote", "parse_address", "read_credentials", "receiving",
]
