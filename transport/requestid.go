package transport

import (
	"context"
	"net/http"

	"github.com/google/uuid"
)

// maxRequestID is the length of the longest request id that is taken from a client.
const maxRequestID = 128

const requestIDHeader = "X-Request-Id"

type requestIDKey struct{}

// RequestID returns the id of the request that ctx belongs to, for logs, or "" outside of one.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// SetRequestID names a request: by the id that its own header gives, or else by a new one. The answer's header gets it too.
func SetRequestID(answer, request http.Header) string {
	id := requestID(request)
	answer[requestIDHeader] = []string{id}
	return id
}

// requestID takes the client's id where there is exactly one and it can stand in a header and in a log as it is; otherwise it
// makes one.
func requestID(h http.Header) string {
	if ids := h[requestIDHeader]; len(ids) == 1 && isRequestID(ids[0]) {
		return ids[0]
	}
	id, err := uuid.NewV7()
	if err != nil { // the system has no randomness: the request is not worth failing for its name
		return "unnamed"
	}
	return id.String()
}

// isRequestID accepts 1 to 128 letters, digits, and -_.: of ASCII.
func isRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == ':':
		default:
			return false
		}
	}
	return true
}
