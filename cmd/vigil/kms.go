package main

import (
	"context"
	"crypto/sha256"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"vigil"
)

// kmsTime bounds one request to AWS KMS, with its retries.
const kmsTime = 15 * time.Second

// kmsContext goes with each request, into the account's log, too: what was sealed for
// something else is not opened.
var kmsContext = map[string]string{"application": "vigil"}

// kmsSealer seals our private keys by a key that never leaves AWS KMS. What it has opened
// it remembers, as the keys themselves are in memory anyway: KMS is asked once for each.
type kmsSealer struct {
	client *kms.Client
	key    string // id, ARN or alias/NAME

	mu     sync.Mutex
	opened map[[sha256.Size]byte][]byte
}

// maxOpened bounds what is remembered; when full all is forgotten.
const maxOpened = 64

// newKMSSealer reads kms:KEY?region=REGION&endpoint=URL, without its "kms:". Credentials
// come by AWS's usual chain.
func newKMSSealer(ctx context.Context, place, region string) (*kmsSealer, error) {
	key, query, _ := strings.Cut(place, "?")
	values, err := url.ParseQuery(query)
	if err != nil || key == "" {
		return nil, vigil.Invalid("key-secret", "The key must be kms:KEY?region=REGION, where KEY is its ARN, its id or alias/NAME.")
	}
	endpoint := ""
	for name, v := range values {
		switch {
		case name == "region" && len(v) == 1:
			region = v[0]
		case name == "endpoint" && len(v) == 1 && vigil.Origin(v[0]) != "":
			endpoint = v[0]
		default:
			return nil, vigil.Invalid("key-secret", "A kms: key has a region and an endpoint (a URL), each once.")
		}
	}
	if arn := strings.Split(key, ":"); len(arn) > 3 && arn[0] == "arn" {
		region = arn[3]
	}
	options := []func(*config.LoadOptions) error{}
	if region != "" {
		options = append(options, config.WithRegion(region))
	}
	settings, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, vigil.Wrap(err, vigil.CodeInvalid, "The AWS settings of the environment cannot be read.")
	}
	if settings.Region == "" {
		return nil, vigil.Invalid("key-secret", "Say in which AWS region the key is, for example kms:KEY?region=eu-central-1.")
	}
	client := kms.NewFromConfig(settings, func(o *kms.Options) {
		if endpoint != "" {
			o.BaseEndpoint = aws.String(endpoint)
			o.HTTPClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: kmsTime}
		}
	})
	return &kmsSealer{client: client, key: key, opened: map[[sha256.Size]byte][]byte{}}, nil
}

// Seal implements lti.Sealer.
func (s *kmsSealer) Seal(plain []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), kmsTime)
	defer cancel()
	out, err := s.client.Encrypt(ctx, &kms.EncryptInput{KeyId: &s.key, Plaintext: plain, EncryptionContext: kmsContext})
	if err != nil {
		return nil, vigil.Wrap(err, vigil.CodeUnavailable, "AWS KMS did not seal our private key. Check the key, its region and the permission kms:Encrypt.")
	}
	return out.CiphertextBlob, nil
}

// Open implements lti.Sealer.
func (s *kmsSealer) Open(sealed []byte) ([]byte, error) {
	name := sha256.Sum256(sealed)
	s.mu.Lock()
	plain, ok := s.opened[name]
	s.mu.Unlock()
	if ok {
		return plain, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), kmsTime)
	defer cancel()
	out, err := s.client.Decrypt(ctx, &kms.DecryptInput{KeyId: &s.key, CiphertextBlob: sealed, EncryptionContext: kmsContext})
	if err != nil {
		return nil, vigil.Wrap(err, vigil.CodeUnavailable, "AWS KMS did not open our private key. Check the key, its region and the permission kms:Decrypt.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.opened) >= maxOpened {
		clear(s.opened)
	}
	s.opened[name] = out.Plaintext
	return out.Plaintext, nil
}
