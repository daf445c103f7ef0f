package lti

import (
	"context"

	"vigil"
)

// typEvidence marks what an evidence key signs: no other token of ours can be taken for it.
const typEvidence = "vigil-evidence+jwt"

// Errors of VerifyEvidence.
var (
	ErrEvidenceForm      = &Fault{"evidence_form", vigil.CodeInvalid, "The signature cannot be read."}
	ErrEvidenceKey       = &Fault{"evidence_key", vigil.CodeUnauthorized, "The signature is by a key that is not one of the given ones."}
	ErrEvidenceSignature = &Fault{"evidence_signature", vigil.CodeUnauthorized, "The signature is not valid."}
)

// SignEvidence makes a compact JWS (EdDSA, RFC 8037) of claims with the active evidence key.
func (k *Keys) SignEvidence(ctx context.Context, claims any) (string, error) {
	return k.sign(ctx, vigil.KeyEvidence, typEvidence, claims)
}

// VerifyEvidence checks a compact JWS against the public halves of keys, and returns what was
// signed. Keys of another use do not count. Errors are an ErrEvidence….
func VerifyEvidence(keys []vigil.Key, compact string) ([]byte, error) {
	head, payload, err := splitToken(compact)
	if err != nil {
		return nil, ErrEvidenceForm.because("%w", err)
	}
	if head.Alg != algEdDSA || head.Typ != typEvidence || head.Kid == "" {
		return nil, ErrEvidenceForm.because("alg, typ or kid")
	}
	for _, k := range keys {
		if k.ID != head.Kid || k.Use != vigil.KeyEvidence {
			continue
		}
		public, err := readPublic(k.Public)
		if err != nil {
			return nil, ErrEvidenceKey.because("%w", err)
		}
		if public.kid != k.ID || public.alg != algEdDSA {
			return nil, ErrEvidenceKey.because("the key is not what it says it is")
		}
		if err := verifyToken(compact, algEdDSA, public.key); err != nil {
			return nil, ErrEvidenceSignature.because("%w", err)
		}
		return payload, nil
	}
	return nil, ErrEvidenceKey.because("kid %q", head.Kid)
}
