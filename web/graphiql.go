package web

import (
	"encoding/json"
	"io/fs"
	"net/http"
)

// Config says what the page is told about the server that it is served by.
type Config struct {
	// Demo is the credential with which the page fetches its own token; nil outside the demo.
	Demo *Demo
}

// Demo is a client credential that anybody may know.
type Demo struct {
	ClientID     string
	ClientSecret string
}

const (
	// settingsPath is where the page asks for its settings.
	settingsPath = "/graphiql.json"
	// endpoint is where the page sends its operations.
	endpoint = "/graphql"
)

// GraphiQL serves the page at "/", what it loads below "/graphiql/", and its settings at
// "/graphiql.json"; every other path is 404. It panics when the binary was built without web/dist.
func GraphiQL(c Config) http.Handler {
	files, err := fs.Sub(dist, "dist/graphiql")
	if err != nil {
		panic(err) // the path is a constant
	}
	pages, err := loadAssets(files, "/graphiql/")
	if err != nil {
		panic(err) // reading from memory
	}
	page, ok := pages["/graphiql/index.html"]
	if !ok {
		panic("web: dist/graphiql/index.html is missing: run npm ci && npm run build in web/graphiql")
	}
	delete(pages, "/graphiql/index.html")
	pages["/"] = page
	pages[settingsPath] = newAsset("graphiql.json", settings(c), "no-store")
	return pages
}

func settings(c Config) []byte {
	type demo struct {
		ClientID     string `json:"clientId"`
		ClientSecret string `json:"clientSecret"`
	}
	answer := struct {
		Endpoint string `json:"endpoint"`
		Demo     *demo  `json:"demo,omitempty"`
	}{Endpoint: endpoint, Demo: (*demo)(c.Demo)}
	body, err := json.Marshal(answer)
	if err != nil {
		panic(err) // strings only
	}
	return body
}
