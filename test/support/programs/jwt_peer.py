"""Two JWT libraries of Python, and a reader of SPIFFE bundles that knows nothing of skein.

Reads one JSON object {"token", "bearer", "audience", "bundle", "jwks"} from stdin, the latter two as text as the hub has sent them;
prints what came of it as one JSON object.
"""

import base64
import json
import sys

import jwt
from jwcrypto import jwk as jwcrypto_jwk
from jwcrypto import jws as jwcrypto_jws
from jwcrypto import jwt as jwcrypto_jwt

# What SPIFFE lets sign an SVID (JWT-SVID §3, WIT-SVID §3).
SPIFFE_ALGORITHMS = {"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"}
PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}


def once(pairs):
    """Members of a JSON object, none of them twice."""
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError(f"a member is repeated: {names}")
    return dict(pairs)


def read_bundle(text):
    """SPIFFE Trust Domain and Bundle §4: what a consumer must, and should, find; returns keys by use, and what is wrong."""
    wrong = []
    bundle = json.loads(text, object_pairs_hook=once)
    if not isinstance(bundle.get("keys"), list):
        return {}, ["keys is no list"], bundle
    for name in ("spiffe_sequence", "spiffe_refresh_hint"):
        if type(bundle.get(name)) is not int or bundle[name] < 0:
            wrong.append(f"{name} is no count")
    by_use = {}
    kids = []
    for key in bundle["keys"]:
        use = key.get("use")
        if use not in ("x509-svid", "jwt-svid", "wit-svid"):
            wrong.append(f"use {use}")
            continue
        if not isinstance(key.get("kty"), str):
            wrong.append("no kty")
        if use == "x509-svid":
            if len(key.get("x5c", [])) != 1:
                wrong.append("x5c does not hold one certificate")
        elif not isinstance(key.get("kid"), str) or key["kid"] == "":
            wrong.append("no kid")
        if PRIVATE_MEMBERS & set(key):
            wrong.append("a private member")
        kids.append(key.get("kid"))
        by_use.setdefault(use, []).append(key)
    if len(set(kids)) != len(kids):
        wrong.append("a kid stands for two keys")
    return by_use, wrong, bundle


def verify_with_pyjwt(token, key):
    return jwt.decode(
        token,
        jwt.PyJWK(key, algorithm="ES256").key,
        algorithms=["ES256"],
        options={"require": ["sub", "exp", "iat", "nbf"]},
        # Where an expected audience is not given, a token that names one is refused.
        leeway=5,
    )


def verify_with_jwcrypto(token, key):
    known = jwcrypto_jwk.JWK(**{name: value for name, value in key.items() if name != "use"})
    verified = jwcrypto_jwt.JWT(algs=["ES256"], check_claims={"sub": None, "exp": None})
    verified.deserialize(token, known)
    return json.loads(verified.claims), known.thumbprint()


def verify_bearer_with_pyjwt(token, jwks, audience):
    """As any service does that trusts an OpenID provider: the key by its id, out of the published set."""
    key = jwt.PyJWKSet.from_dict(jwks)[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(
        token,
        key.key,
        algorithms=["ES256"],
        audience=audience,
        options={"require": ["sub", "aud", "exp", "iat", "jti"]},
        leeway=5,
    )


def verify_bearer_with_jwcrypto(token, jwks_text, audience):
    verified = jwcrypto_jwt.JWT(algs=["ES256"], check_claims={"sub": None, "exp": None, "aud": audience})
    verified.deserialize(token, jwcrypto_jwk.JWKSet.from_json(jwks_text))
    return json.loads(verified.claims)


def refused(verify, *args):
    """Whether it is refused, and not in another way than for its signature or its audience."""
    try:
        verify(*args)
    except (
        jwt.InvalidSignatureError,
        jwt.InvalidAudienceError,
        jwcrypto_jws.InvalidJWSSignature,
        jwcrypto_jwt.JWTMissingKey,
        jwcrypto_jwt.JWTInvalidClaimValue,
    ) as error:
        return type(error).__name__
    return "accepted"


def flip(token):
    """The token with the lowest bit of the middle of its signature changed."""
    head, claims, signature = token.split(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[32] ^= 1
    return ".".join([head, claims, base64.urlsafe_b64encode(raw).rstrip(b"=").decode()])


def main():
    given = json.load(sys.stdin)
    token = given["token"]
    header = jwt.get_unverified_header(token)
    by_use, wrong, bundle = read_bundle(given["bundle"])
    [key] = [key for key in by_use.get("wit-svid", []) if key["kid"] == header["kid"]]
    other = json.loads(jwcrypto_jwk.JWK.generate(kty="EC", crv="P-256").export_public())
    claims = verify_with_pyjwt(token, key)
    same, thumbprint = verify_with_jwcrypto(token, key)
    holder = jwcrypto_jwk.JWK(**claims["cnf"]["jwk"])
    jwks = json.loads(given["jwks"], object_pairs_hook=once)
    bearer, audience = given["bearer"], given["audience"]
    [bearer_key] = [key for key in by_use.get("jwt-svid", []) if key["kid"] == jwt.get_unverified_header(bearer)["kid"]]
    bearer_claims = verify_bearer_with_pyjwt(bearer, jwks, audience)
    elsewhere = "https://elsewhere.example.com"
    print(
        json.dumps(
            {
                "bearerHeader": jwt.get_unverified_header(bearer),
                "bearerClaims": bearer_claims,
                "bearerAgrees": bearer_claims == verify_bearer_with_jwcrypto(bearer, given["jwks"], audience),
                "bearerKeyOfBundle": {name: value for name, value in bearer_key.items() if name != "use"} == jwks["keys"][0],
                "bearerRefused": [
                    refused(verify_bearer_with_pyjwt, bearer, jwks, elsewhere),
                    refused(verify_bearer_with_jwcrypto, bearer, given["jwks"], elsewhere),
                    refused(verify_bearer_with_pyjwt, flip(bearer), jwks, audience),
                    refused(verify_bearer_with_jwcrypto, flip(bearer), given["jwks"], audience),
                ],
                "bundleWrong": wrong,
                "uses": {use: len(keys) for use, keys in by_use.items()},
                "sequence": bundle["spiffe_sequence"],
                "refreshHint": bundle["spiffe_refresh_hint"],
                "header": header,
                "claims": claims,
                "bothAgree": claims == same,
                "kidIsThumbprint": thumbprint == header["kid"],
                "holderAlgorithmOfSpiffe": claims["cnf"]["jwk"]["alg"] in SPIFFE_ALGORITHMS,
                "holderIsPublic": not holder.has_private and not PRIVATE_MEMBERS & set(claims["cnf"]["jwk"]),
                "holderIsNotIssuer": holder.thumbprint() != thumbprint,
                "jwks": jwks,
                "refused": [
                    refused(verify_with_pyjwt, token, other),
                    refused(verify_with_jwcrypto, token, other),
                    refused(verify_with_pyjwt, flip(token), key),
                    refused(verify_with_jwcrypto, flip(token), key),
                ],
            }
        )
    )


main()
