package dynamo_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"vigil"
	"vigil/internal/testutil"
	migrations "vigil/migrations/dynamodb"
	"vigil/storage/dynamo"
)

// TestAnOlderServersChangeOfAnExamKeepsItsAccessSource does what a server of the release before
// does beside this one: it writes the exam's item as a whole, of the fields that it knows.
func TestAnOlderServersChangeOfAnExamKeepsItsAccessSource(t *testing.T) {
	prefix := migrated(t)
	s := open(t, dynamo.Config{Prefix: prefix})
	e := vigil.Exam{
		ID: newID(), Issuer: "https://lms.example", ContextID: "c", Policy: vigil.DefaultPolicy(), Created: time.Now().UTC().Truncate(time.Millisecond), Version: 1,
		Access: vigil.AccessSource{PlatformID: "p", URL: "https://lms.example/access"},
	}
	testutil.OK(t, s.CreateExam(t.Context(), e))
	raw, end := fullClient(t, server.URL)
	defer end()
	table := aws.String(migrations.Main(prefix))
	out, err := raw.GetItem(t.Context(), &dynamodb.GetItemInput{
		TableName: table, Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "x#" + e.ID}, "sk": &types.AttributeValueMemberS{Value: "a"}},
	})
	testutil.OK(t, err)
	delete(out.Item, "Access")
	out.Item["Title"], out.Item["Version"] = &types.AttributeValueMemberS{Value: "Changed"}, &types.AttributeValueMemberN{Value: "2"}
	_, err = raw.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: table, Item: out.Item})
	testutil.OK(t, err)
	got, err := s.Exam(t.Context(), e.ID)
	testutil.OK(t, err)
	if got.Access != e.Access || got.Title != "Changed" || got.Version != 2 {
		t.Errorf("got %+v, want the change, and the source %+v as before", got, e.Access)
	}
	got.Access = vigil.AccessSource{} // and it can be taken away
	testutil.OK(t, s.UpdateExam(t.Context(), got))
	if got, err = s.Exam(t.Context(), e.ID); err != nil || got.Access.Told() {
		t.Errorf("got source %+v, %v, want none", got.Access, err)
	}
}
