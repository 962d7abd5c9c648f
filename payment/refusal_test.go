package payment_test

import (
	"reflect"
	"testing"

	"github.com/paygraph/paygraph/answer"
	"github.com/paygraph/paygraph/payment"
)

// TestRecordedRefusalsComeBack freezes and thaws every refusal that commands record, with a value in each of its fields: a replay says
// what the first answer said.
func TestRecordedRefusalsComeBack(t *testing.T) {
	t.Parallel()
	codec := answer.NewCodec(payment.Refusals)
	if len(payment.Refusals) < 12 {
		t.Errorf("only %d refusals are listed", len(payment.Refusals))
	}
	for _, example := range payment.Refusals {
		value := reflect.New(reflect.TypeOf(example)).Elem()
		fill(t, value)
		refusal := value.Interface().(answer.Refusal)
		frozen, err := codec.Freeze(refusal)
		if err != nil {
			t.Errorf("%T: %v", example, err)
			continue
		}
		thawed, err := codec.Thaw(refusal.Code(), frozen)
		if err != nil || !reflect.DeepEqual(thawed, refusal) || thawed.Message() != refusal.Message() {
			t.Errorf("%s\nbecame %#v, %v\nwas %#v", frozen, thawed, err, refusal)
		}
		if refusal.Retryable() {
			t.Errorf("%T is recorded, and says that the same key may yet succeed", refusal)
		}
	}
	if _, err := codec.Freeze(answer.ValidationFailed{}); err == nil {
		t.Error("a refusal that is in no list was frozen")
	}
	if _, err := codec.Thaw("NO_SUCH_CODE", []byte("{}")); err == nil {
		t.Error("an unknown code was thawed")
	}
}

// fill puts a value into every field.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32:
		v.SetInt(1<<30 + 1)
	case reflect.String:
		v.SetString("USD")
	case reflect.Int64:
		v.SetInt(1<<62 + 1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0))
		fill(t, v.Index(1))
	default:
		t.Fatalf("the test knows no value for a %s", v.Type())
	}
}
