package main

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"vigil"
)

// kmsStandIn answers Encrypt and Decrypt as AWS KMS does, as far as Vigil sees, and only
// what deploy's policy allows. It is no more than that: nothing here has met AWS KMS itself.
type kmsStandIn struct {
	url      string
	sealed   atomic.Int64
	decrypts atomic.Int64
}

const standInKey = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd"

func newKMSStandIn(t *testing.T) *kmsStandIn {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "vigiltest")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "vigiltest")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	k := &kmsStandIn{}
	var policy struct { // what deploy's policy allows
		Statement []struct {
			Action    []string
			Condition struct{ StringEquals map[string]string }
		}
	}
	raw, err := os.ReadFile(filepath.Join("..", "..", "deploy", "kms-policy.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &policy); err != nil || len(policy.Statement) != 1 || len(policy.Statement[0].Action) != 2 {
		t.Fatalf("got policy %s, %v, want one statement with two actions", raw, err)
	}
	type box struct {
		Plaintext         []byte            `json:",omitempty"`
		CiphertextBlob    []byte            `json:",omitempty"`
		KeyID             string            `json:"KeyId"`
		EncryptionContext map[string]string `json:",omitempty"`
	}
	refuse := func(w http.ResponseWriter, kind string) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"__type":"`+kind+`","message":"no"}`)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in box
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if in.KeyID != standInKey {
			refuse(w, "NotFoundException")
			return
		}
		if !slices.Contains(policy.Statement[0].Action, strings.Replace(r.Header.Get("X-Amz-Target"), "TrentService.", "kms:", 1)) ||
			in.EncryptionContext["application"] != policy.Statement[0].Condition.StringEquals["kms:EncryptionContext:application"] {
			refuse(w, "AccessDeniedException")
			return
		}
		out := box{KeyID: standInKey}
		switch r.Header.Get("X-Amz-Target") {
		case "TrentService.Encrypt":
			k.sealed.Add(1)
			sealed, err := json.Marshal(in)
			if err != nil {
				t.Error(err)
			}
			for i := range sealed {
				sealed[i] ^= 0x5a
			}
			out.CiphertextBlob = sealed
		case "TrentService.Decrypt":
			k.decrypts.Add(1)
			plain := bytes.Clone(in.CiphertextBlob)
			for i := range plain {
				plain[i] ^= 0x5a
			}
			var was box
			if json.Unmarshal(plain, &was) != nil || !maps.Equal(was.EncryptionContext, in.EncryptionContext) {
				refuse(w, "InvalidCiphertextException")
				return
			}
			out.Plaintext = was.Plaintext
		}
		if err := json.NewEncoder(w).Encode(out); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	k.url = server.URL
	return k
}

func TestKMSSealsAndOpensOnce(t *testing.T) {
	k := newKMSStandIn(t)
	settings := storeSettings{Store: "dynamodb:vigil", KeySecret: "kms:" + standInKey + "?endpoint=" + k.url}
	s, err := settings.sealer(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	plain := bytes.Repeat([]byte("private "), 220)
	sealed, err := s.Seal(plain)
	if err != nil || bytes.Contains(sealed, []byte("private")) {
		t.Fatalf("got %q, %v, want it sealed", sealed, err)
	}
	for range 3 {
		if got, err := s.Open(sealed); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("got %q, %v, want what was sealed", got, err)
		}
	}
	if got := k.decrypts.Load(); got != 1 {
		t.Errorf("got %d requests to open, want 1", got)
	}
	if _, err := s.Open([]byte("something else")); vigil.CodeOf(err) != vigil.CodeUnavailable {
		t.Errorf("got %v for what was not sealed, want unavailable", err)
	}
}

func TestAKMSKeyThatIsNotThereIsToldSo(t *testing.T) {
	k := newKMSStandIn(t)
	s, err := newKMSSealer(t.Context(), "alias/nobody?region=eu-central-1&endpoint="+k.url, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Seal([]byte("x")); vigil.CodeOf(err) != vigil.CodeUnavailable {
		t.Errorf("got %v, want unavailable", err)
	}
	// The region is the tables' where the key names none.
	settings := storeSettings{Store: "dynamodb:vigil?region=eu-central-1", KeySecret: "kms:alias/vigil?endpoint=" + k.url}
	if _, err := settings.sealer(t.Context(), nil); err != nil {
		t.Errorf("got %v for a key in the tables' region, want none", err)
	}
	for _, place := range []string{"", "?region=a", "k?zone=a", "k?endpoint=here", "k?region=a&region=b"} {
		if _, err := newKMSSealer(t.Context(), place, ""); vigil.CodeOf(err) != vigil.CodeInvalid {
			t.Errorf("%q: got %v, want invalid", place, err)
		}
	}
}
