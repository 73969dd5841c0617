"""Is a request signed by a key that we know? Computed again from the raw request by botocore's own signer.

Rules: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html>.
"""

import hmac
import re
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from urllib.parse import quote

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from wire import Refused

# How far the clocks of client and provider may be apart.
SKEW = timedelta(minutes=15)
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/,\s]+)/(\d{8})/([^/,\s]+)/([^/,\s]+)/aws4_request,\s*"
    r"SignedHeaders=([a-z0-9;-]+),\s*Signature=([0-9a-f]{64})"
)

# What went wrong, in each protocol's words: status and code.
SAID = {
    "signature": {"query": (403, "SignatureDoesNotMatch"), "ec2": (403, "SignatureDoesNotMatch"),
                  "json": (400, "InvalidSignatureException"), "rest-json": (403, "InvalidSignatureException"),
                  "rest-xml": (403, "SignatureDoesNotMatch")},
    "key": {"query": (403, "InvalidClientTokenId"), "ec2": (401, "AuthFailure"),
            "json": (400, "UnrecognizedClientException"), "rest-json": (403, "UnrecognizedClientException"),
            "rest-xml": (403, "InvalidAccessKeyId")},
    "expired": {"query": (403, "ExpiredToken"), "ec2": (400, "RequestExpired"),
                "json": (400, "ExpiredTokenException"), "rest-json": (403, "ExpiredTokenException"),
                "rest-xml": (400, "ExpiredToken")},
    "missing": {"query": (403, "MissingAuthenticationToken"), "ec2": (401, "AuthFailure"),
                "json": (400, "MissingAuthenticationTokenException"),
                "rest-json": (403, "MissingAuthenticationTokenException"), "rest-xml": (403, "AccessDenied")},
    "skew": {"query": (403, "SignatureDoesNotMatch"), "ec2": (400, "RequestExpired"),
             "json": (400, "InvalidSignatureException"), "rest-json": (403, "InvalidSignatureException"),
             "rest-xml": (403, "RequestTimeTooSkewed")},
}


def wrong(call, what, message):
    status, code = SAID[what][call.protocol]
    return Refused(status, code, message)


def verify(call, key_of, now=None):
    """Gives the principal that signed. `key_of` finds it by its access key.

    A principal has `secret`, `token` (None for a long-term key) and `expires` (None when it doesn't).
    """
    now = now or datetime.now(timezone.utc)
    request = call.request
    if not request.header("authorization"):
        raise wrong(call, "missing", "Missing Authentication Token")
    match = AUTHORIZATION.fullmatch(request.header("authorization").strip())
    if not match:
        raise wrong(call, "signature", "Authorization header is not in the form of AWS4-HMAC-SHA256")
    key, day, region, service, signed, signature = match.groups()
    principal = key_of(key)
    if principal is None or (principal.token or "") != request.header("x-amz-security-token"):
        raise wrong(call, "key", "The security token included in the request is invalid.")
    check_scope(call, region, service)
    check_date(call, day, now)
    check_headers(call, signed.split(";"))
    expected = compute(call, principal, region, service, signed.split(";"))
    if not hmac.compare_digest(expected, signature):
        raise wrong(call, "signature", "The request signature we calculated does not match the signature you provided. "
                    "Check your AWS Secret Access Key and signing method.")
    if principal.expires and now >= principal.expires:
        raise wrong(call, "expired", "The security token included in the request is expired")
    return principal


def check_scope(call, region, service):
    if service != call.signing_name:
        raise wrong(call, "signature", f"Credential should be scoped to correct service: '{call.signing_name}'.")
    if region != call.region:
        raise wrong(call, "signature", f"Credential should be scoped to a valid region, not '{region}'.")


def check_date(call, day, now):
    text = call.request.header("x-amz-date")
    try:
        at = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    except ValueError as error:
        raise wrong(call, "signature", f"x-amz-date `{text}` is no date in the form 20260131T120000Z") from error
    if text[:8] != day:
        raise wrong(call, "signature", f"Date in Credential scope does not match YYYYMMDD from ISO-8601: {text}")
    if abs(at - now) > SKEW:
        raise wrong(call, "skew", f"Signature expired: {text} is more than 15 minutes from {now:%Y%m%dT%H%M%SZ}")


def check_headers(call, signed):
    """Host and everything that begins with x-amz- has to be signed; the body's hash has to be the body's."""
    request = call.request
    needed = {"host"} | {name for name in request.headers if name.startswith("x-amz-")}
    unsigned = sorted(needed - set(signed))
    if unsigned or signed != sorted(set(signed)):
        raise wrong(call, "signature", f"There were headers present in the request which were not signed: {unsigned}")
    absent = [name for name in signed if name not in request.headers]
    if absent:
        raise wrong(call, "signature", f"Signed headers are not in the request: {absent}")
    said = request.header("x-amz-content-sha256")
    if call.service.service_name in ("s3", "s3control") and not said:
        raise Refused(400, "InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    if said and said != sha256(request.body).hexdigest():
        raise Refused(400, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match "
                      "what was computed.")


def compute(call, principal, region, service, signed):
    """The signature that botocore makes for the same request."""
    request = call.request
    # Names and values are decoded and encoded again, as the provider does it: who encodes a space as `+` is refused.
    query = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in request.pairs)
    url = f"http://{request.header('host')}{request.path}" + (f"?{query}" if query else "")
    headers = {name: request.headers[name] for name in signed}
    again = AWSRequest(method=request.method, url=url, headers=headers, data=request.body)
    again.context["timestamp"] = request.header("x-amz-date")
    signer = S3SigV4Auth if call.service.service_name in ("s3", "s3control") else SigV4Auth
    signer = signer(Credentials(principal.key, principal.secret, principal.token), service, region)
    return signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)
