// Package dynamodb holds the definitions of DynamoDB's tables, in versioned steps, and
// applies them. deploy/ has the same definitions as an AWS template, made from these.
//
// A released step is never edited: what changes comes in another. Each says which is the
// oldest program that may run on beside it and after it; one that only adds (tables, indexes,
// settings) can let the programs before it go on.
package dynamodb

import (
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"vigil"
	"vigil/storage"
)

//go:embed *.json
var files embed.FS

// Step is one version of the schema. A file that names no oldest program lets none but its own go on.
type Step struct {
	storage.Step
	Tables []Table `json:"tables"`
}

// Table is a table as it is when the step is applied. A later step that names it again
// may have more indexes, and other settings.
type Table struct {
	Name      string  `json:"name"` // after the prefix
	Partition string  `json:"partition"`
	Sort      string  `json:"sort"`
	Local     []Index `json:"local"`  // only of a new table
	Global    []Index `json:"global"` // keys only
	Expires   string  `json:"expires"`
	Recovery  bool    `json:"recovery"` // point-in-time recovery
}

// Index is an index of a table. A local one has the table's partition key and all
// attributes; a global one has the keys only.
type Index struct {
	Name      string `json:"name"`
	Partition string `json:"partition"`
	Sort      string `json:"sort"`
}

// Files holds the steps, named NNNN_what.json.
func Files() fs.FS { return files }

// Steps returns all steps in such files in order; nil: in this program's.
func Steps(from fs.FS) ([]Step, error) {
	if from == nil {
		from = files
	}
	names, err := fs.Glob(from, "*.json")
	if err != nil {
		return nil, vigil.Wrap(err, vigil.CodeInternal, "The migrations cannot be read.")
	}
	var out []Step
	for _, name := range names {
		raw, err := fs.ReadFile(from, name)
		if err != nil {
			return nil, vigil.Wrap(err, vigil.CodeInternal, "The migration %s cannot be read.", name)
		}
		s := Step{Step: storage.Step{Name: name}}
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, vigil.Wrap(err, vigil.CodeInternal, "The migration %s cannot be read.", name)
		}
		if n, err := strconv.Atoi(strings.SplitN(name, "_", 2)[0]); err != nil || n != s.Version {
			return nil, vigil.Errorf(vigil.CodeInternal, "The migration %s has version %d.", name, s.Version)
		}
		if s.Oldest == 0 {
			s.Oldest = s.Version
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return nil, vigil.Errorf(vigil.CodeInternal, "There are no migrations.")
	}
	slices.SortFunc(out, func(a, b Step) int { return cmp.Compare(a.Version, b.Version) })
	return out, nil
}

// Main is the name of the table that keeps what lasts.
func Main(prefix string) string { return tableName(prefix, "main") }

// Records is the name of the table that keeps what lives for a moment.
func Records(prefix string) string { return tableName(prefix, "records") }

// Schema is the name of the table that keeps the schema's version and the lock.
func Schema(prefix string) string { return tableName(prefix, "schema") }

func tableName(prefix, name string) string { return prefix + "-" + name }

var prefixes = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,200}$`)

// ValidPrefix checks a prefix of tables' names.
func ValidPrefix(prefix string) error {
	if !prefixes.MatchString(prefix) {
		return vigil.Invalid("store", "The prefix of the tables' names has 1 to 200 letters, digits, dots, - or _; %q has not.", prefix)
	}
	return nil
}

// create is the request that makes the table.
func (t Table) create(name string) *dynamodb.CreateTableInput {
	in := &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest, KeySchema: keySchema(t.Partition, t.Sort),
		AttributeDefinitions: t.attributes(), Tags: []types.Tag{tag},
	}
	for _, i := range t.Local {
		in.LocalSecondaryIndexes = append(in.LocalSecondaryIndexes, types.LocalSecondaryIndex{
			IndexName: aws.String(i.Name), KeySchema: keySchema(t.Partition, i.Sort),
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll},
		})
	}
	for _, i := range t.Global {
		in.GlobalSecondaryIndexes = append(in.GlobalSecondaryIndexes, types.GlobalSecondaryIndex{
			IndexName: aws.String(i.Name), KeySchema: keySchema(i.Partition, i.Sort),
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		})
	}
	return in
}

// sameKeys tells whether a table that is there has these keys and local indexes, which cannot be changed.
func (t Table) sameKeys(d *types.TableDescription) bool {
	same := slices.EqualFunc(d.KeySchema, keySchema(t.Partition, t.Sort), func(a, b types.KeySchemaElement) bool {
		return *a.AttributeName == *b.AttributeName && a.KeyType == b.KeyType
	})
	for _, want := range t.Local {
		same = same && slices.ContainsFunc(d.LocalSecondaryIndexes, func(i types.LocalSecondaryIndexDescription) bool { return *i.IndexName == want.Name })
	}
	return same
}

// attributes are those that keys are made of, each once.
func (t Table) attributes() (out []types.AttributeDefinition) {
	names := []string{t.Partition, t.Sort}
	for _, i := range t.Local {
		names = append(names, i.Sort)
	}
	for _, i := range t.Global {
		names = append(names, i.Partition, i.Sort)
	}
	seen := map[string]bool{"": true}
	for _, n := range names {
		if !seen[n] {
			out = append(out, types.AttributeDefinition{AttributeName: aws.String(n), AttributeType: types.ScalarAttributeTypeS})
		}
		seen[n] = true
	}
	return out
}

func keySchema(partition, sort string) []types.KeySchemaElement {
	out := []types.KeySchemaElement{{AttributeName: aws.String(partition), KeyType: types.KeyTypeHash}}
	if sort != "" {
		out = append(out, types.KeySchemaElement{AttributeName: aws.String(sort), KeyType: types.KeyTypeRange})
	}
	return out
}

// describe says in words what the table is.
func (t Table) describe() string {
	var parts []string
	for _, i := range t.Local {
		parts = append(parts, "local index "+i.Name)
	}
	for _, i := range t.Global {
		parts = append(parts, "global index "+i.Name)
	}
	if t.Expires != "" {
		parts = append(parts, "expiry by "+t.Expires)
	}
	if t.Recovery {
		parts = append(parts, "point-in-time recovery")
	}
	return fmt.Sprintf("on demand, %s", strings.Join(parts, ", "))
}

// schemaTable keeps the version and the lock.
var schemaTable = Table{Name: "schema", Partition: "pk"}
