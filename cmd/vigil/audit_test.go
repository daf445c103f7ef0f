package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"vigil"
	migrations "vigil/migrations/dynamodb"
	"vigil/storage/sqlite/sqlitetest"
)

// tamper changes the action of all stored audit entries of an action, as someone can who may
// write to the store.
func tamper(t *testing.T, place, action string) {
	t.Helper()
	if path, ok := strings.CutPrefix(place, "sqlite:"); ok {
		sqlitetest.Exec(t, path, `UPDATE audits SET action = 'nothing' WHERE action = ?`, action)
		return
	}
	where, _, err := storeSettings{Store: place}.dynamoPlace()
	if err != nil {
		t.Fatal(err)
	}
	err = where.with(t.Context(), func(c *dynamodb.Client) error {
		table := aws.String(migrations.Main(where.prefix))
		out, err := c.Scan(t.Context(), &dynamodb.ScanInput{
			TableName: table, FilterExpression: aws.String("#a = :a"), ExpressionAttributeNames: map[string]string{"#a": "Action"},
			ExpressionAttributeValues: map[string]types.AttributeValue{":a": &types.AttributeValueMemberS{Value: action}},
		})
		if err != nil {
			return err
		}
		for _, it := range out.Items {
			it["Action"] = &types.AttributeValueMemberS{Value: "nothing"}
			if _, err := c.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: table, Item: it}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAuditEntriesAreVerifiedAndTamperingIsFound(t *testing.T) {
	onEach(t, func(t *testing.T, place string, e vigil.Exam) {
		env := []string{"VIGIL_STORE=" + place}
		do := func(want int, args ...string) (out, errs string) {
			t.Helper()
			code, out, errs := command(t.Context(), env, args...)
			if code != want {
				t.Fatalf("vigil %s: got exit code %d, want %d: %s%s", strings.Join(args, " "), code, want, out, errs)
			}
			return out, errs
		}
		if out, _ := do(0, "audit", "verify", e.ID); !strings.Contains(out, "5 entries in 2 chains of 1 exams") || !strings.Contains(out, "1 written before there were chains") ||
			!strings.Contains(out, "No faults.") {
			t.Errorf("got %q", out)
		}
		// Erasing a person leaves the chains valid.
		do(0, "erase", "--yes", e.Issuer, "ana")
		if out, _ := do(0, "audit", "verify", e.ID); !strings.Contains(out, "1 entries without their person") || !strings.Contains(out, "No faults.") {
			t.Errorf("after an erasure: got %q", out)
		}
		tamper(t, place, "command.pause")
		out, errs := do(1, "audit", "verify", e.ID)
		if strings.Contains(out, "No faults") || !strings.Contains(errs, "2 faults") || strings.Count(out, "the one before it was changed") != 2 {
			t.Errorf("after entries were changed: got %q, %q, want both found", out, errs)
		}
	})
}

func TestWhatOperatorsDoIsSignedAndCannotBeRemovedUnseen(t *testing.T) {
	place, _ := filledStore(t)
	path := strings.TrimPrefix(place, "sqlite:")
	sqlitetest.Exec(t, path, `DELETE FROM keys`) // those of filledStore are none
	must(t, "invite", "--store", place, "--public-url=https://vigil.example.edu")
	if out := must(t, "audit", "verify", "--store", place, "none"); !strings.Contains(out, "1 since the last checkpoint") {
		t.Errorf("before a server made the keys: got %q, want an entry that is not signed", out)
	}
	if code, _, errs := command(t.Context(), nil, "keys", "rotate", "--store", place, "evidence"); code != 1 || !strings.Contains(errs, "rotate again in") {
		t.Fatalf("got code %d, %q", code, errs)
	}
	must(t, "invite", "--store", place, "--public-url=https://vigil.example.edu")
	kept := filepath.Join(t.TempDir(), "checkpoints")
	checkpoints := must(t, "audit", "checkpoints", "--store", place)
	if err := os.WriteFile(kept, []byte(checkpoints), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := must(t, "audit", "verify", "--store", place, "--against", kept); !strings.Contains(out, "No faults.") {
		t.Errorf("got %q", out)
	}
	sqlitetest.Exec(t, path, `DELETE FROM audits WHERE action = 'invite.create'`)
	code, out, _ := command(t.Context(), nil, "audit", "verify", "--store", place, "none")
	if code != 1 || !strings.Contains(out, "is missing") {
		t.Errorf("after an entry was removed: got code %d, %q", code, out)
	}
	// Who removes the checkpoint, too, is found by the one that was kept elsewhere.
	sqlitetest.Exec(t, path, `DELETE FROM audit_checkpoints`)
	must(t, "audit", "verify", "--store", place, "none")
	code, out, _ = command(t.Context(), nil, "audit", "verify", "--store", place, "--against", kept, "none")
	if code != 1 || !strings.Contains(out, "is missing") {
		t.Errorf("against the kept checkpoints: got code %d, %q", code, out)
	}
}

func TestACheckpointsFileThatIsNoneIsRefused(t *testing.T) {
	place, _ := filledStore(t)
	for _, text := range []string{"x", "{}", `{"chain":"c","seq":0,"signature":"x"}`, `{"chain":"c","seq":1}`, strings.Repeat("x", maxLine+1)} {
		file := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, _, errs := command(t.Context(), nil, "audit", "verify", "--store", place, "--against", file); code != 2 || errs == "" {
			t.Errorf("%.20q: got code %d, %q, want 2", text, code, errs)
		}
	}
	if code, _, errs := command(t.Context(), nil, "audit", "verify", "--store", place, "nobody"); code != 1 || !strings.Contains(errs, "vigil exam list") {
		t.Errorf("unknown exam: got code %d, %q", code, errs)
	}
}

func FuzzReadCheckpoints(f *testing.F) {
	line, err := json.Marshal(writtenCheckpoint{Chain: "c", Seq: 1, Signature: "x"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(line))
	f.Add("{}\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := readCheckpoints(strings.NewReader(text))
		if err != nil && list != nil {
			t.Fatal("got both checkpoints and an error")
		}
		for _, c := range list {
			if c.Head.Seq < 1 || c.Chain == "" {
				t.Fatalf("got checkpoint %+v, want chain and number", c)
			}
		}
	})
}
