package answer

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// Codec freezes refusals for the record of an idempotency key, and thaws them for a replay.
type Codec struct {
	types map[Code]reflect.Type
}

// NewCodec knows the refusals that are given as examples, usually each domain's list. Two types with one code are a programming
// error and panic.
func NewCodec(lists ...[]Refusal) Codec {
	types := map[Code]reflect.Type{}
	for _, list := range lists {
		for _, refusal := range list {
			t := reflect.TypeOf(refusal)
			if known, ok := types[refusal.Code()]; ok && known != t {
				panic(fmt.Sprintf("two refusals with the code %s: %s and %s", refusal.Code(), known, t))
			}
			types[refusal.Code()] = t
		}
	}
	return Codec{types}
}

// Freeze writes the values of a refusal.
func (c Codec) Freeze(r Refusal) ([]byte, error) {
	if _, ok := c.types[r.Code()]; !ok {
		return nil, fmt.Errorf("refusal %s is in no domain's list", r.Code())
	}
	return json.Marshal(r)
}

// Thaw reads what Freeze wrote.
func (c Codec) Thaw(code Code, values []byte) (Refusal, error) {
	t, ok := c.types[code]
	if !ok {
		return nil, fmt.Errorf("recorded refusal %s is unknown to this version", code)
	}
	value := reflect.New(t)
	if err := json.Unmarshal(values, value.Interface()); err != nil {
		return nil, fmt.Errorf("recorded refusal %s: %w", code, err)
	}
	return value.Elem().Interface().(Refusal), nil
}
