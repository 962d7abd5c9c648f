// Package web serves the pages that the binary carries: GraphiQL, built from web/graphiql into web/dist.
// They need nothing from outside: every script, style, font and worker is in the binary.
package web

import "embed"

//go:embed all:dist
var dist embed.FS

// Policy is the Content-Security-Policy of every answer of this package: everything from this origin, no
// inline or evaluated script. Monaco writes style elements and draws with data: images.
const Policy = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:"
