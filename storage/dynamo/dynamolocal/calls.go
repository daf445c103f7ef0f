package dynamolocal

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/middleware"
)

// Calls gathers which permissions the requests of clients need, as "ACTION RESOURCE",
// for example "dynamodb:Query table/PREFIX-main/index/list". DynamoDB Local checks none,
// so a test compares them with the policies in deploy.
type Calls struct {
	mu     sync.Mutex
	needed map[string]bool
}

// Watch is an option of a client whose requests count.
func (c *Calls) Watch(o *dynamodb.Options) {
	o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
		return s.Initialize.Add(middleware.InitializeMiddlewareFunc("Calls", func(
			ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
		) (middleware.InitializeOutput, middleware.Metadata, error) {
			c.See(in.Parameters)
			return next.HandleInitialize(ctx, in)
		}), middleware.Before)
	})
}

// Needed are the permissions that were needed so far, in order.
func (c *Calls) Needed() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.needed))
}

func (c *Calls) need(action string, table *string, more string) {
	name := aws.ToString(table)
	if at := strings.LastIndexByte(name, '-'); at >= 0 { // whatever the prefix
		name = "PREFIX" + name[at:]
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.needed == nil {
		c.needed = map[string]bool{}
	}
	c.needed["dynamodb:"+action+" table/"+name+more] = true
}

// See counts one request. One that it does not know is needed by its type, which no
// policy allows.
func (c *Calls) See(in any) {
	switch in := in.(type) {
	case *dynamodb.GetItemInput:
		c.need("GetItem", in.TableName, "")
	case *dynamodb.PutItemInput:
		c.need("PutItem", in.TableName, "")
	case *dynamodb.UpdateItemInput:
		c.need("UpdateItem", in.TableName, "")
	case *dynamodb.DeleteItemInput:
		c.need("DeleteItem", in.TableName, "")
	case *dynamodb.QueryInput:
		index := ""
		if in.IndexName != nil {
			index = "/index/" + *in.IndexName
		}
		c.need("Query", in.TableName, index)
	case *dynamodb.ScanInput:
		index := ""
		if in.IndexName != nil {
			index = "/index/" + *in.IndexName
		}
		c.need("Scan", in.TableName, index)
	case *dynamodb.BatchGetItemInput:
		for table := range in.RequestItems {
			c.need("BatchGetItem", &table, "")
		}
	case *dynamodb.BatchWriteItemInput:
		for table := range in.RequestItems {
			c.need("BatchWriteItem", &table, "")
		}
	case *dynamodb.TransactWriteItemsInput: // allowed by its parts
		for _, part := range in.TransactItems {
			switch {
			case part.Put != nil:
				c.need("PutItem", part.Put.TableName, "")
			case part.Update != nil:
				c.need("UpdateItem", part.Update.TableName, "")
			case part.Delete != nil:
				c.need("DeleteItem", part.Delete.TableName, "")
			case part.ConditionCheck != nil:
				c.need("ConditionCheckItem", part.ConditionCheck.TableName, "")
			}
		}
	case *dynamodb.CreateTableInput:
		c.need("CreateTable", in.TableName, "")
		if len(in.Tags) > 0 {
			c.need("TagResource", in.TableName, "")
		}
	case *dynamodb.DescribeTableInput:
		c.need("DescribeTable", in.TableName, "")
	case *dynamodb.UpdateTableInput:
		c.need("UpdateTable", in.TableName, "")
	case *dynamodb.DescribeTimeToLiveInput:
		c.need("DescribeTimeToLive", in.TableName, "")
	case *dynamodb.UpdateTimeToLiveInput:
		c.need("UpdateTimeToLive", in.TableName, "")
	case *dynamodb.DescribeContinuousBackupsInput:
		c.need("DescribeContinuousBackups", in.TableName, "")
	case *dynamodb.UpdateContinuousBackupsInput:
		c.need("UpdateContinuousBackups", in.TableName, "")
	case *dynamodb.ListTagsOfResourceInput:
		c.need("ListTagsOfResource", in.ResourceArn, "")
	case *dynamodb.TagResourceInput:
		c.need("TagResource", in.ResourceArn, "")
	default:
		c.need(fmt.Sprintf("%T", in), nil, "")
	}
}

// Allowed are the permissions that policies give, in order and each once.
func Allowed(paths ...string) ([]string, error) {
	given := map[string]bool{}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var policy struct {
			Statement []struct {
				Effect           string
				Action, Resource []string
			}
		}
		if err := json.Unmarshal(raw, &policy); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, s := range policy.Statement {
			if s.Effect != "Allow" {
				return nil, fmt.Errorf("%s: a statement that does not allow", path)
			}
			for _, action := range s.Action {
				for _, resource := range s.Resource {
					given[action+" "+strings.TrimPrefix(resource, "arn:aws:dynamodb:REGION:ACCOUNT:")] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(given)), nil
}
