package dynamodb

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

type object = map[string]any

// Template makes the AWS CloudFormation template of the tables as all steps leave them,
// for operators who make tables that way; `vigil migrate` then finds them as they should
// be and only notes the version.
func Template() ([]byte, error) {
	steps, err := Steps(nil)
	if err != nil {
		return nil, err
	}
	resources := object{}
	for _, t := range append([]Table{schemaTable}, tablesOf(steps)...) {
		properties, err := t.properties()
		if err != nil {
			return nil, err
		}
		resources[strings.ToUpper(t.Name[:1])+t.Name[1:]+"Table"] = object{
			"Type": "AWS::DynamoDB::Table", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain", "Properties": properties,
		}
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	err = enc.Encode(object{
		"AWSTemplateFormatVersion": "2010-09-09",
		"Description":              "Vigil's DynamoDB tables. Made from migrations/dynamodb; do not edit.",
		"Parameters": object{"Prefix": object{
			"Type": "String", "Default": "vigil", "AllowedPattern": prefixes.String(),
			"Description": "What the tables' names begin with: the PREFIX of --store=dynamodb:PREFIX",
		}},
		"Resources": resources,
	})
	return out.Bytes(), err
}

// tablesOf are the tables of all steps; the last one that names a table counts.
func tablesOf(steps []Step) []Table {
	last := map[string]Table{}
	for _, s := range steps {
		for _, t := range s.Tables {
			last[t.Name] = t
		}
	}
	return slices.Collect(maps.Values(last))
}

// properties are those of the request that makes the table, which has the template's names, and settings
// that are made by requests of their own.
func (t Table) properties() (object, error) {
	raw, err := json.Marshal(t.create(""))
	if err != nil {
		return nil, err
	}
	p := object{}
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, err
	}
	withoutNulls(p)
	p["TableName"] = object{"Fn::Sub": "${Prefix}-" + t.Name}
	if t.Expires != "" {
		p["TimeToLiveSpecification"] = object{"AttributeName": t.Expires, "Enabled": true}
	}
	if t.Recovery {
		p["PointInTimeRecoverySpecification"] = object{"PointInTimeRecoveryEnabled": true}
	}
	return p, nil
}

// withoutNulls drops what a request leaves open.
func withoutNulls(v any) {
	switch v := v.(type) {
	case object:
		maps.DeleteFunc(v, func(_ string, inner any) bool { return inner == nil || inner == "" })
		for _, inner := range v {
			withoutNulls(inner)
		}
	case []any:
		for _, inner := range v {
			withoutNulls(inner)
		}
	}
}
