package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"vigil/cmd/internal/seat"
	"vigil/lti/ltitest"
	"vigil/lti/ltitest/lms"
	migrations "vigil/migrations/dynamodb"
)

// rawRows are the bytes that a store holds: all of them, and those of records.
type rawRows struct{ all, records func() []byte }

// rawSQLite reads the files beside the server, as a thief of the disk would.
func rawSQLite(t *testing.T, path string) rawRows {
	return rawRows{
		all: func() (out []byte) {
			t.Helper()
			for _, name := range []string{path, path + "-wal"} {
				b, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, b...)
			}
			return out
		},
		records: func() (out []byte) {
			t.Helper()
			rows, err := raw(t, path).QueryContext(t.Context(), `SELECT kind, key, value FROM records`)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			for rows.Next() {
				var kind, key string
				var value []byte
				if err := rows.Scan(&kind, &key, &value); err != nil {
					t.Fatal(err)
				}
				out = append(append(append(out, kind+" "+key+" "...), value...), '\n')
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
			return out
		},
	}
}

// rawDynamo scans the tables, which only a test may.
func rawDynamo(t *testing.T, prefix, region, endpoint string) rawRows {
	client := dynamodb.New(dynamodb.Options{
		Region: region, BaseEndpoint: aws.String(endpoint),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY")}, nil
		}),
	})
	table := func(name string) (out []byte) {
		t.Helper()
		pages := dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{TableName: aws.String(name)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, item := range page.Items {
				for name, v := range item {
					out = append(append(out, name+" "...), attributeBytes(v)...)
				}
				out = append(out, '\n')
			}
		}
		return out
	}
	return rawRows{
		all: func() []byte {
			return append(table(migrations.Main(prefix)), table(migrations.Records(prefix))...)
		},
		records: func() []byte { return table(migrations.Records(prefix)) },
	}
}

func attributeBytes(v types.AttributeValue) (out []byte) {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		out = []byte(v.Value)
	case *types.AttributeValueMemberN:
		out = []byte(v.Value)
	case *types.AttributeValueMemberB:
		out = v.Value
	case *types.AttributeValueMemberL:
		for _, e := range v.Value {
			out = append(out, attributeBytes(e)...)
		}
	case *types.AttributeValueMemberM:
		for name, e := range v.Value {
			out = append(append(out, name...), attributeBytes(e)...)
		}
	case *types.AttributeValueMemberSS:
		out = []byte(strings.Join(v.Value, " "))
	}
	return append(out, ' ')
}

func TestRecordsHoldNoPersonAndAnErasedVisitorLeavesNothing(t *testing.T) {
	for _, row := range []struct {
		name  string
		store func(t *testing.T) (s *site, rows rawRows)
	}{
		{"sqlite", func(t *testing.T) (*site, rawRows) {
			s := newSite(t)
			return s, rawSQLite(t, s.db)
		}},
		{"dynamodb", func(t *testing.T) (*site, rawRows) {
			prefix, region, endpoint := dynamoTables(t)
			return newSiteOn(t, "dynamodb:"+prefix+"?region="+region+"&endpoint="+endpoint), rawDynamo(t, prefix, region, endpoint)
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, rows := row.store(t)
			s.serve("--key-secret", base64.StdEncoding.EncodeToString(make([]byte, keyFileSize)))
			platform := s.lms.Platform()
			teacher := platform.AddUser(ltitest.User{ID: "sub-of-a-teacher", Given: "Zuleikha", Family: "Quillfeather", Email: "quill@school.example", Role: ltitest.Instructor})
			pupil := platform.AddUser(ltitest.User{ID: "sub-of-a-pupil", Given: "Xanthippe", Family: "Vandersloot", Email: "xan@school.example", Role: ltitest.Learner})

			// The pupil comes as far as the check-in; the teacher sees the dashboard and opens it in a window.
			hc := crowdClient()
			t.Cleanup(hc.CloseIdleConnections)
			launch, err := s.lms.Proctored(pupil.ID)
			s.ok(err)
			_, err = seat.Launch(t.Context(), s.tool, platform, launch, hc)
			s.ok(err)
			b := ltitest.NewBrowser(nil)
			b.SignIn(platform, teacher.ID)
			page, err := b.Open(t.Context(), platform.Begin(ltitest.Launch{
				Message: ltitest.ResourceLink, ClientID: s.client, UserID: teacher.ID, LinkID: lms.LinkID,
			}))
			s.ok(err)
			desk, err := seat.At(s.tool, b, page)
			s.ok(err)
			window := openWindow(t, s.tool, desk)

			records := rows.records()
			for _, kind := range []string{"web.visit", "web.open"} {
				if !bytes.Contains(records, []byte(kind)) {
					t.Errorf("got no record of kind %s, want the test to look at one", kind)
				}
			}
			for _, u := range []ltitest.User{teacher, pupil} {
				for _, text := range []string{u.Given, u.Family, u.ID, u.Email} {
					if bytes.Contains(records, []byte(text)) {
						t.Errorf("got %q in the records, want nobody there", text)
					}
				}
			}
			secrets := []string{window[strings.LastIndex(window, "/")+1:]}
			for _, c := range b.Cookies(s.tool) {
				secrets = append(secrets, c.Value)
			}
			if len(secrets) < 2 {
				t.Errorf("got the secrets %q, want the code and the cookie's token", secrets)
			}
			for _, secret := range secrets {
				if bytes.Contains(records, []byte(secret)) {
					t.Errorf("got the secret %q in the records", secret)
				}
			}

			if got := must(t, "erase", "--store", s.store(), platform.Issuer(), pupil.ID, "--yes"); !strings.HasPrefix(got, "1 sessions erased") {
				t.Errorf("got %q, want one session erased", got)
			}
			all := rows.all()
			for _, text := range []string{pupil.Given, pupil.Family, pupil.ID, pupil.Email} {
				if i := bytes.Index(all, []byte(text)); i >= 0 {
					t.Errorf("got %q left: …%q…", text, all[max(0, i-80):min(len(all), i+80)])
				}
			}

			// What was sealed opens for who has the secret.
			page, err = b.Open(t.Context(), window)
			s.ok(err)
			if page.Status != http.StatusOK || !strings.Contains(page.URL.Path, "/dashboard/") {
				t.Errorf("got %d at %s, want the dashboard in the window", page.Status, page.URL)
			}
		})
	}
}

// openWindow asks for a one-use link, as the dashboard in a frame does.
func openWindow(t *testing.T, tool string, desk *seat.Proctor) string {
	t.Helper()
	body := `{"path":"/dashboard/` + desk.Exam + `"}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, tool+"/api/v1/exams/"+desk.Exam+"/open", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Origin", tool)
	res, err := desk.Client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out struct {
		URL string `json:"url"`
	}
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil || out.URL == "" {
		t.Fatalf("got %d, %v, want a link", res.StatusCode, err)
	}
	return out.URL
}
