//go:build ci

package store_test

// long has tests take as long as it takes to try everything with everything.
const long = true
