package dynamo_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"vigil"
	"vigil/internal/testutil"
	migrations "vigil/migrations/dynamodb"
	"vigil/storage/dynamo"
)

// between does something after what is to be removed was listed.
type between struct {
	dynamo.API
	once sync.Once
	do   func()
}

// BatchWriteItem implements dynamo.API.
func (a *between) BatchWriteItem(ctx context.Context, in *dynamodb.BatchWriteItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.BatchWriteItemOutput, error) {
	a.once.Do(a.do)
	return a.API.BatchWriteItem(ctx, in, opts...)
}

// TestNothingIsAddedToASessionThatIsBeingErased makes transitions after what is to be
// removed was listed.
func TestNothingIsAddedToASessionThatIsBeingErased(t *testing.T) {
	prefix := migrated(t)
	other := open(t, dynamo.Config{Prefix: prefix})
	v := seed(t, other, 1)[0]
	testutil.OK(t, other.CreateGap(t.Context(), gap(v, 1)))
	api := &between{API: client(t, server.URL), do: func() {
		c := vigil.Command{ID: newID(), SessionID: v.ID, ExamID: v.ExamID, Kind: vigil.CommandNote, At: time.Now()}
		next := v
		next.Version++
		for name, tr := range map[string]vigil.Transition{
			"a transition":         {Session: next, From: v.Version, Command: &c, NewGaps: []vigil.Gap{gap(v, 2)}},
			"a transition of gaps": {Session: v, From: v.Version, NewGaps: []vigil.Gap{gap(v, 3)}},
		} {
			code(t, name, other.Transition(t.Context(), tr), vigil.CodeNotFound)
		}
	}}
	s := open(t, dynamo.Config{Prefix: prefix, Client: api})
	n, err := s.EraseUser(t.Context(), "https://lms.example", v.UserID)
	testutil.OK(t, err)
	if n != 1 {
		t.Errorf("got %d sessions erased, want 1", n)
	}
	raw, end := fullClient(t, server.URL)
	defer end()
	out, err := raw.Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String(migrations.Main(prefix))}) // a test may
	testutil.OK(t, err)
	for _, it := range out.Items {
		if pk := textOf(it["pk"]); !strings.HasPrefix(pk, "x#") && pk != "erasures" {
			t.Errorf("got %s %s left, want nothing but the exam and the list of erasures", pk, textOf(it["sk"]))
		}
	}
}
