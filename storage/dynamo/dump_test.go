package dynamo_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"vigil"
	"vigil/internal/testutil"
	"vigil/storage"
	"vigil/storage/dynamo"
	"vigil/storage/dynamo/dynamolocal"
)

// whole reads a list to its end; a page of it may be empty.
func whole[T any](t *testing.T, read func(p storage.Page) ([]T, string, error)) (out []T) {
	t.Helper()
	for p := (storage.Page{Limit: 2}); ; {
		part, next, err := read(p)
		testutil.OK(t, err)
		out = append(out, part...)
		if p.After = next; next == "" {
			return out
		}
	}
}

func TestADumperListsEverything(t *testing.T) {
	raw, end := fullClient(t, missingOr(t))
	defer end()
	var calls dynamolocal.Calls
	s := open(t, dynamo.Config{Client: raw, Scan: dynamodb.New(raw.Options(), calls.Watch)})
	d, err := s.Dumper()
	testutil.OK(t, err)
	now := time.Now().UTC().Truncate(time.Millisecond)
	var exams, hashes []string
	for range 3 {
		v := seed(t, s, 1)[0]
		testutil.OK(t, s.CreateGap(t.Context(), gap(v, 1))) // in the same index
		exams = append(exams, v.ExamID)
		i := vigil.Invitation{Hash: newID(), Created: now, Expires: now.Add(time.Hour)}
		testutil.OK(t, s.CreateInvitation(t.Context(), i))
		hashes = append(hashes, i.Hash)
	}
	p := vigil.Platform{ID: newID(), Issuer: "https://lms.example", ClientID: newID(), State: vigil.PlatformActive, Created: now, Version: 1}
	testutil.OK(t, s.CreatePlatform(t.Context(), p))
	for _, id := range []string{"1", "2", "3"} {
		testutil.OK(t, s.CreateLink(t.Context(), vigil.Link{PlatformID: p.ID, DeploymentID: "1", ResourceLinkID: id, ExamID: exams[0], Created: now}))
	}
	slices.Sort(exams)
	testutil.Until(t, "all exams in the index", func() bool {
		got := whole(t, func(p storage.Page) ([]string, string, error) { return d.ExamIDs(t.Context(), p) })
		slices.Sort(got)
		return slices.Equal(got, exams)
	})
	var got []string
	for _, i := range whole(t, func(p storage.Page) ([]vigil.Invitation, string, error) { return d.Invitations(t.Context(), p) }) {
		got = append(got, i.Hash)
	}
	slices.Sort(got)
	slices.Sort(hashes)
	if !slices.Equal(got, hashes) {
		t.Errorf("got invitations %q, want %q", got, hashes)
	}
	links := whole(t, func(page storage.Page) ([]vigil.Link, string, error) {
		return d.LinksOfPlatform(t.Context(), p.ID, page)
	})
	if len(links) != 3 {
		t.Errorf("got %d links, want 3", len(links))
	}
	_, _, err = d.ExamIDs(t.Context(), storage.Page{After: "no such place"})
	code(t, "after no such place", err, vigil.CodeInvalid)
	// What it asks for beyond a server's requests is what its policy allows.
	allowed, err := dynamolocal.Allowed(filepath.Join("..", "..", "deploy", "dynamodb-backup-policy.json"))
	testutil.OK(t, err)
	if needed := calls.Needed(); !slices.Equal(allowed, needed) {
		t.Errorf("the policy allows %q, needed is %q", allowed, needed)
	}
}

// missingOr is where the service is; the test is skipped where it cannot run.
func missingOr(t *testing.T) string {
	t.Helper()
	if server == nil {
		t.Skip(missing)
	}
	return server.URL
}
