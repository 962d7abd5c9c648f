//go:build !ci

package store_test

// long is for CI. Without it some tests try of what they could combine each thing once.
const long = false
