// Package migrations holds the database's shape as numbered SQL files. From the first release on they are only ever added to.
package migrations

import "embed"

// Files are the migrations, in goose's format.
//
//go:embed *.sql
var Files embed.FS
