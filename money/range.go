package money

// Range is a span of amounts as decimal numbers of a currency that is named elsewhere; both ends belong to it, nil is open.
type Range struct {
	Min *string
	Max *string
}

// MinorUnits are the ends of the range in a currency. Errors: those of Parse.
func (r Range) MinorUnits(c string) (least, most *int64, err error) {
	for _, end := range []struct {
		text *string
		into **int64
	}{{r.Min, &least}, {r.Max, &most}} {
		if end.text == nil {
			continue
		}
		amount, err := Parse(Input{Amount: *end.text, Currency: c})
		if err != nil {
			return nil, nil, err
		}
		*end.into = &amount.MinorUnits
	}
	return least, most, nil
}
