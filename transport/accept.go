package transport

import (
	"mime"
	"net/http"
	"strings"
)

// The media types of an answer. The first is for clients from before the specification: a well-formed request is answered with
// 200, whatever became of it. With the second the status tells. The third is a stream of events.
const (
	legacyJSON  = "application/json; charset=utf-8"
	graphqlJSON = "application/graphql-response+json; charset=utf-8"
	eventStream = "text/event-stream; charset=utf-8"
)

// offers are the media types that can be answered, the one for a wildcard first.
var offers = [...]struct{ kind, subtype, contentType string }{
	{"application", "json", legacyJSON},
	{"application", "graphql-response+json", graphqlJSON},
	{"text", "event-stream", eventStream},
}

// accepted is what a client accepts: the JSON that it prefers, empty for none, and whether it takes a stream of events. A stream is for
// what needs one, or for a client that takes nothing else: some list it with every query and want JSON.
type accepted struct {
	json   string
	stream bool
}

// negotiate chooses among the media types of the answer (RFC 9110, section 12.5.1): the greatest weight; then what is listed first; then
// application/json, which is also for those who accept anything or say nothing.
func negotiate(accept []string) accepted {
	if len(accept) == 1 { // what nearly all clients send
		switch accept[0] {
		case "application/json":
			return accepted{json: legacyJSON}
		case "*/*":
			return accepted{legacyJSON, true}
		case "application/graphql-response+json":
			return accepted{json: graphqlJSON}
		}
	}
	header := strings.Join(accept, ",")
	if strings.TrimSpace(header) == "" {
		return accepted{legacyJSON, true}
	}
	var best [len(offers)]struct{ specificity, weight, order int }
	for order, element := range splitQuoted(header, ',') {
		kind, weight, ok := mediaRange(element)
		if !ok {
			continue
		}
		for i, offer := range offers {
			specificity := 0
			switch kind {
			case "*/*":
				specificity = 1
			case offer.kind + "/*":
				specificity = 2
			case offer.kind + "/" + offer.subtype:
				specificity = 3
			}
			if specificity > best[i].specificity {
				best[i].specificity, best[i].weight, best[i].order = specificity, weight, order
			}
		}
	}
	var chosen accepted
	most, first := 0, 0
	for i, b := range best {
		switch {
		case b.weight == 0:
		case offers[i].contentType == eventStream:
			chosen.stream = true
		case b.weight > most || b.weight == most && b.order < first:
			chosen.json, most, first = offers[i].contentType, b.weight, b.order
		}
	}
	return chosen
}

// mediaRange reads one element of an Accept header: the range in lower case, and its weight in thousandths. It is false for what
// is malformed or asks for another charset than UTF-8.
func mediaRange(element string) (kind string, weight int, ok bool) {
	parts := splitQuoted(element, ';')
	kind, weight = strings.ToLower(strings.TrimSpace(parts[0])), 1000
	if !strings.Contains(kind, "/") {
		return "", 0, false
	}
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(part, "=")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "q":
			if weight, ok = qvalue(value); !ok {
				return "", 0, false
			}
		case "charset":
			if !strings.EqualFold(value, "utf-8") {
				return "", 0, false
			}
		}
	}
	return kind, weight, true
}

// qvalue reads a weight of RFC 9110, section 12.4.2: 0 to 1 with at most three digits after the point.
func qvalue(s string) (thousandths int, ok bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	if whole != "0" && whole != "1" || len(fraction) > 3 {
		return 0, false
	}
	thousandths = int(whole[0]-'0') * 1000
	for i, c := range []byte(fraction) {
		if c < '0' || c > '9' {
			return 0, false
		}
		thousandths += int(c-'0') * [...]int{100, 10, 1}[i]
	}
	return thousandths, thousandths <= 1000
}

// splitQuoted splits s at each separator that is not inside a quoted string.
func splitQuoted(s string, separator byte) []string {
	var parts []string
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == separator && !quoted:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// checkContentType accepts JSON in UTF-8 that is not compressed.
func checkContentType(h http.Header) *requestError {
	if encoding := h["Content-Encoding"]; len(encoding) > 0 && (len(encoding) > 1 || !strings.EqualFold(encoding[0], "identity")) {
		return malformed(http.StatusUnsupportedMediaType, "a body with a Content-Encoding is not accepted")
	}
	types := h["Content-Type"]
	if len(types) == 1 && types[0] == "application/json" {
		return nil
	}
	if len(types) != 1 {
		return malformed(http.StatusUnsupportedMediaType, "send one Content-Type: application/json")
	}
	kind, params, err := mime.ParseMediaType(types[0])
	if err != nil || kind != "application/json" {
		return malformed(http.StatusUnsupportedMediaType, "the Content-Type must be application/json")
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return malformed(http.StatusUnsupportedMediaType, "the charset must be utf-8")
	}
	return nil
}
