package dynamo

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// expr gathers the names and values of an expression. Names are written as #Name, so
// that none is a reserved word.
type expr struct {
	condition string
	sets      []string
	removes   []string
	adds      []string
	names     map[string]string
	values    item
}

func newExpr() *expr { return &expr{names: map[string]string{}, values: item{}} }

// n names an attribute.
func (e *expr) n(name string) string {
	e.names["#"+name] = name
	return "#" + name
}

// v gives a value a place of its own.
func (e *expr) v(a types.AttributeValue) string {
	p := fmt.Sprintf(":v%d", len(e.values))
	e.values[p] = a
	return p
}

// set, remove and add change one attribute; a nil value removes it.
func (e *expr) set(name string, a types.AttributeValue) *expr {
	if a == nil {
		return e.remove(name)
	}
	e.sets = append(e.sets, e.n(name)+" = "+e.v(a))
	return e
}

func (e *expr) remove(name string) *expr {
	e.removes = append(e.removes, e.n(name))
	return e
}

func (e *expr) add(name string, n int64) *expr {
	e.adds = append(e.adds, e.n(name)+" "+e.v(num(n)))
	return e
}

// fields sets or removes the attributes of a struct but those named.
func (e *expr) fields(v any, but ...string) *expr {
	s := reflect.ValueOf(v)
	for _, f := range attributesOf(s.Type()) {
		if !slices.Contains(but, f.name) {
			e.set(f.name, attribute(s.Field(f.field)))
		}
	}
	return e
}

// field is the attribute of one value.
func field(v any) types.AttributeValue { return attribute(reflect.ValueOf(v)) }

// when adds a condition; all must hold. Each %s of the format is a name or a value made
// by n or v.
func (e *expr) when(format string, args ...any) *expr {
	c := "(" + fmt.Sprintf(format, args...) + ")"
	if e.condition != "" {
		c = e.condition + " AND " + c
	}
	e.condition = c
	return e
}

// absent and present ask whether the item is there at all.
func (e *expr) absent() *expr  { return e.when("attribute_not_exists(%s)", e.n(attrPK)) }
func (e *expr) present() *expr { return e.when("attribute_exists(%s)", e.n(attrPK)) }

// is asks for one value.
func (e *expr) is(name string, a types.AttributeValue) *expr {
	return e.when("%s = %s", e.n(name), e.v(a))
}

func (e *expr) update() string {
	var b strings.Builder
	for _, part := range []struct {
		word string
		list []string
	}{{"SET ", e.sets}, {"REMOVE ", e.removes}, {"ADD ", e.adds}} {
		if len(part.list) > 0 {
			b.WriteString(part.word + strings.Join(part.list, ", ") + " ")
		}
	}
	return b.String()
}

// parts returns what goes into a request: nil where there is nothing, as the service
// refuses empty texts and maps.
func (e *expr) parts() (condition *string, names map[string]string, values item) {
	if e == nil {
		return nil, nil, nil
	}
	if e.condition != "" {
		condition = &e.condition
	}
	if len(e.names) > 0 {
		names = e.names
	}
	if len(e.values) > 0 {
		values = e.values
	}
	return condition, names, values
}

// extra are the attributes of an item that are not its own fields.
type extra func(it item)

// ordered gives an item its place in a list of its session.
func ordered(place string) extra { return func(it item) { it[attrOrd] = str(place) } }

// listed gives an item its place in a list that crosses partitions.
func listed(list, place string) extra {
	return func(it item) { it[attrList], it[attrPos] = str(list), str(place) }
}

// expiring lets the service remove an item from a time on.
func expiring(t time.Time) extra { return func(it item) { it[attrTTL] = num(ttl(t)) } }

// ttl is a time in whole seconds, not before it.
func ttl(t time.Time) int64 { return (t.UnixMilli() + 999) / 1000 }

func both(es ...extra) extra {
	return func(it item) {
		for _, e := range es {
			if e != nil {
				e(it)
			}
		}
	}
}
