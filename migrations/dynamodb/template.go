package dynamodb

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Template makes the AWS CloudFormation template of the tables as all steps leave them,
// for operators who make tables that way; `vigil migrate` then finds them as they should
// be and only notes the version.
func Template() ([]byte, error) {
	steps, err := Steps(nil)
	if err != nil {
		return nil, err
	}
	tables := []Table{schemaTable}
	for _, s := range steps {
		for _, t := range s.Tables {
			tables = replaced(tables, t)
		}
	}
	resources := map[string]any{}
	for _, t := range tables {
		resources[fmt.Sprintf("%s%sTable", bytes.ToUpper([]byte(t.Name[:1])), t.Name[1:])] = map[string]any{
			"Type": "AWS::DynamoDB::Table", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain", "Properties": t.properties(),
		}
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	err = enc.Encode(map[string]any{
		"AWSTemplateFormatVersion": "2010-09-09",
		"Description":              "Vigil's DynamoDB tables. Made from migrations/dynamodb; do not edit.",
		"Parameters": map[string]any{"Prefix": map[string]any{
			"Type": "String", "Default": "vigil", "AllowedPattern": prefixes.String(),
			"Description": "What the tables' names begin with: the PREFIX of --store=dynamodb:PREFIX",
		}},
		"Resources": resources,
	})
	return out.Bytes(), err
}

func replaced(tables []Table, t Table) []Table {
	for i := range tables {
		if tables[i].Name == t.Name {
			tables[i] = t
			return tables
		}
	}
	return append(tables, t)
}

type object = map[string]any

func (t Table) properties() object {
	keys := func(partition, sort string) []object {
		out := []object{{"AttributeName": partition, "KeyType": "HASH"}}
		if sort != "" {
			out = append(out, object{"AttributeName": sort, "KeyType": "RANGE"})
		}
		return out
	}
	var attributes, local, global []object
	for _, n := range t.keyNames() {
		attributes = append(attributes, object{"AttributeName": n, "AttributeType": "S"})
	}
	for _, i := range t.Local {
		local = append(local, object{"IndexName": i.Name, "KeySchema": keys(t.Partition, i.Sort), "Projection": object{"ProjectionType": "ALL"}})
	}
	for _, i := range t.Global {
		global = append(global, object{"IndexName": i.Name, "KeySchema": keys(i.Partition, i.Sort), "Projection": object{"ProjectionType": "KEYS_ONLY"}})
	}
	p := object{
		"TableName": object{"Fn::Sub": "${Prefix}-" + t.Name}, "BillingMode": "PAY_PER_REQUEST",
		"KeySchema": keys(t.Partition, t.Sort), "AttributeDefinitions": attributes,
		"Tags": []object{{"Key": tagKey, "Value": tagValue}},
	}
	if local != nil {
		p["LocalSecondaryIndexes"] = local
	}
	if global != nil {
		p["GlobalSecondaryIndexes"] = global
	}
	if t.Expires != "" {
		p["TimeToLiveSpecification"] = object{"AttributeName": t.Expires, "Enabled": true}
	}
	if t.Recovery {
		p["PointInTimeRecoverySpecification"] = object{"PointInTimeRecoveryEnabled": true}
	}
	return p
}
