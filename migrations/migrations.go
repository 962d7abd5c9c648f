// Package migrations holds the database's shape as numbered SQL files. They are only ever added to.
package migrations

import "embed"

// Files are the migrations, in goose's format.
//
//go:embed *.sql
var Files embed.FS
