"""What stands in for a phone number where it must not be told or kept. Pure."""

from base64 import urlsafe_b64encode
from hashlib import blake2b

from worker.destinations import Destination

__all__ = ["pseudonym"]


def pseudonym(destination: Destination, number: str) -> str:
    """24 characters that stand for a number: the same as long as the destination's pseudonym key is.

    Args:
        destination: Whose key it is derived with; without a key its name, which keeps nobody from trying all numbers.
        number: Digits with country code.
    """
    key = destination.configuration.onward.pseudonym_key
    secret = key.get_secret_value() if key is not None else destination.name
    # A key of blake2b has 64 bytes at most.
    derived = blake2b(secret.encode(), digest_size=32, person=b"msg91-number").digest()
    digest = blake2b(number.encode("utf-8", "surrogatepass"), digest_size=18, key=derived).digest()
    return urlsafe_b64encode(digest).decode()
