package money

import (
	"cmp"
	"errors"
	"math"
	"math/bits"
	"slices"
)

// MaxParts is the largest number of parts that an amount can be split into.
const MaxParts = 10_000

// ErrParts says that an amount cannot be split as asked: no parts, more than MaxParts, a negative weight, or weights that are all
// zero or whose sum overflows an int64.
var ErrParts = errors.New("cannot split into these parts")

// Split cuts the amount into n parts that differ by at most one minor unit and sum to the amount; the larger ones come first. Error:
// ErrParts.
func (a Amount) Split(n int) ([]Amount, error) {
	if n < 1 || n > MaxParts {
		return nil, ErrParts
	}
	return a.Allocate(slices.Repeat([]int64{1}, n)...)
}

// Allocate cuts the amount into one part a weight, in proportion to the weights, by the method of the largest remainder: each part is
// rounded towards zero, and the minor units that are left go one each to the parts that lost most, the earlier one where two lost the
// same. So the parts sum to the amount, none is further than one minor unit from its exact share, and a weight of zero gets nothing.
// Error: ErrParts.
func (a Amount) Allocate(weights ...int64) ([]Amount, error) {
	total, ok := sum(weights)
	if !ok {
		return nil, ErrParts
	}
	units := magnitude(a.MinorUnits)
	parts, lost, order := make([]Amount, len(weights)), make([]uint64, len(weights)), make([]int, len(weights))
	left := units
	for i, weight := range weights {
		high, low := bits.Mul64(units, uint64(weight)) // 128 bits, so that no product overflows
		share, remainder := bits.Div64(high, low, total)
		parts[i] = Amount{int64(share), a.Currency}
		lost[i], order[i] = remainder, i
		left -= share
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(lost[j], lost[i]) })
	for _, i := range order[:left] {
		parts[i].MinorUnits++
	}
	if a.MinorUnits < 0 {
		for i := range parts {
			parts[i].MinorUnits = -parts[i].MinorUnits
		}
	}
	return parts, nil
}

// sum adds weights up; false where Allocate cannot use them.
func sum(weights []int64) (total uint64, ok bool) {
	if len(weights) > MaxParts {
		return 0, false
	}
	for _, weight := range weights {
		if weight < 0 {
			return 0, false
		}
		if total += uint64(weight); total > math.MaxInt64 {
			return 0, false
		}
	}
	return total, total > 0
}
