package dynamo

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"vigil"
)

// item is what the service keeps: attributes by their names, which schema.go gives to fields.
// Times and durations are milliseconds; a zero time, a zero duration, an empty text, false, an
// empty list and a struct without attributes are left out. The SDK's attributevalue knows neither
// such durations nor such structs: each kind of record would need a second struct and two conversions.
type item map[string]types.AttributeValue

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func num(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}
func null() types.AttributeValue { return &types.AttributeValueMemberNULL{Value: true} }

// ms is a time as it is stored: 0 is the zero time.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// whole cuts a time to what is stored.
func whole(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return time.UnixMilli(t.UnixMilli()).UTC()
}

// text reads a text attribute; "" where there is none.
func (it item) text(name string) string {
	if v, ok := it[name].(*types.AttributeValueMemberS); ok {
		return v.Value
	}
	return ""
}

// number reads a number attribute; 0 where there is none.
func (it item) number(name string) int64 {
	v, ok := it[name].(*types.AttributeValueMemberN)
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(v.Value, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

var (
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
	jsonType     = reflect.TypeFor[json.RawMessage]()
	bytesType    = reflect.TypeFor[[]byte]()
)

// encode makes the attributes of a struct.
func encode(v any) item {
	out := item{}
	encodeInto(out, reflect.ValueOf(v))
	return out
}

func encodeInto(out item, v reflect.Value) {
	for _, f := range attributesOf(v.Type()) {
		if a := attribute(v.Field(f.field)); a != nil {
			out[f.name] = a
		}
	}
}

// attribute encodes one value; nil means that it is left out. Integers are always
// written, so that a condition may compare them.
func attribute(v reflect.Value) types.AttributeValue {
	switch v.Type() {
	case timeType:
		t, _ := v.Interface().(time.Time)
		if t.IsZero() {
			return nil
		}
		return num(t.UnixMilli())
	case durationType:
		if v.Int() == 0 {
			return nil
		}
		return num(time.Duration(v.Int()).Milliseconds())
	case jsonType:
		if v.Len() == 0 {
			return nil
		}
		return str(string(v.Bytes()))
	case bytesType:
		if v.Len() == 0 {
			return nil
		}
		return &types.AttributeValueMemberB{Value: v.Bytes()}
	}
	switch v.Kind() {
	case reflect.String:
		if v.Len() == 0 {
			return nil
		}
		return str(v.String())
	case reflect.Bool:
		if !v.Bool() {
			return nil
		}
		return &types.AttributeValueMemberBOOL{Value: true}
	case reflect.Int, reflect.Int64:
		return num(v.Int())
	case reflect.Float64:
		return &types.AttributeValueMemberN{Value: strconv.FormatFloat(v.Float(), 'g', -1, 64)}
	case reflect.Slice:
		if v.Len() == 0 {
			return nil
		}
		l := make([]types.AttributeValue, v.Len())
		for i := range l {
			if l[i] = attribute(v.Index(i)); l[i] == nil {
				l[i] = null()
			}
		}
		return &types.AttributeValueMemberL{Value: l}
	case reflect.Struct:
		m := item{}
		encodeInto(m, v)
		if len(m) == 0 {
			return nil
		}
		return &types.AttributeValueMemberM{Value: m}
	}
	panic(fmt.Sprintf("dynamo: %s cannot be stored", v.Type())) // a mistake of ours that the first test of the type shows
}

// decode makes a struct of its attributes.
func decode[T any](it item) (T, error) {
	var v T
	err := decodeInto(it, &v)
	return v, err
}

func decodeInto(it item, v any) error {
	s := reflect.ValueOf(v).Elem()
	for _, f := range attributesOf(s.Type()) {
		if a, ok := it[f.name]; ok {
			if err := setField(s.Field(f.field), a); err != nil {
				return vigil.Wrap(fmt.Errorf("attribute %s: %w", f.name, err), vigil.CodeInternal, "The store holds something that cannot be read.")
			}
		}
	}
	return nil
}

func setField(f reflect.Value, a types.AttributeValue) error {
	switch a := a.(type) {
	case *types.AttributeValueMemberNULL:
		return nil
	case *types.AttributeValueMemberN:
		if f.Kind() == reflect.Float64 {
			x, err := strconv.ParseFloat(a.Value, 64)
			f.SetFloat(x)
			return err
		}
		n, err := strconv.ParseInt(a.Value, 10, 64)
		if err != nil {
			return err
		}
		switch {
		case f.Type() == timeType:
			f.Set(reflect.ValueOf(time.UnixMilli(n).UTC()))
		case f.Type() == durationType:
			f.SetInt(int64(time.Duration(n) * time.Millisecond))
		case f.CanInt():
			f.SetInt(n)
		default:
			return fmt.Errorf("a number for %s", f.Type())
		}
		return nil
	case *types.AttributeValueMemberS:
		switch {
		case f.Kind() == reflect.String:
			f.SetString(a.Value)
		case f.Type() == jsonType:
			f.SetBytes([]byte(a.Value))
		default:
			return fmt.Errorf("a text for %s", f.Type())
		}
		return nil
	case *types.AttributeValueMemberBOOL:
		if f.Kind() == reflect.Bool {
			f.SetBool(a.Value)
			return nil
		}
	case *types.AttributeValueMemberB:
		if f.Type() == bytesType {
			f.SetBytes(a.Value)
			return nil
		}
	case *types.AttributeValueMemberL:
		if f.Kind() == reflect.Slice {
			l := reflect.MakeSlice(f.Type(), len(a.Value), len(a.Value))
			for i, e := range a.Value {
				if err := setField(l.Index(i), e); err != nil {
					return err
				}
			}
			f.Set(l)
			return nil
		}
	case *types.AttributeValueMemberM:
		if f.Kind() == reflect.Struct {
			return decodeInto(a.Value, f.Addr().Interface())
		}
	}
	return fmt.Errorf("%T for %s", a, f.Type())
}
