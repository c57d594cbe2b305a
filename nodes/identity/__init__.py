"""Who signs: certificate authorities, MSP folders, signers, and whom an MSP accepts."""

from nodes.identity.issue import issue_user, revoke_user
from nodes.identity.signer import Signer, load_signer, signer_from_pem

__all__ = ["Signer", "issue_user", "load_signer", "revoke_user", "signer_from_pem"]
