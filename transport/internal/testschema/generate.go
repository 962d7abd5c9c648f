// Package testschema is a small gateway that package transport is tried on: every kind of field, input and directive that
// matters to a transport, and resolvers that answer, fail, panic and wait.
package testschema

//go:generate go tool gqlgen generate
