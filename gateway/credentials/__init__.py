"""W3C Verifiable Credentials 2.0: keys, DIDs, proofs, certificate profiles and their store."""
