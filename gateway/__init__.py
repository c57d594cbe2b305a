"""HTTP gateway: EPCIS capture and query, trace, certificates, verification and the scan pages."""
