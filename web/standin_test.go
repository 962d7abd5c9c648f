//go:build ci

package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// standIn is a gateway with two wallets and a payment: it knows the schema and answers the tabs' operations by their
// names. Its tokens can be refused, or made short, by POST to /standin/refuse and /standin/life.
type standIn struct {
	introspection json.RawMessage
	open          bool

	mu       sync.Mutex
	issued   int
	valid    map[string]bool
	seconds  int
	requests map[string]int // by idempotency key
}

// newStandIn is in its demo where demo is not nil; elsewhere anybody may read its schema.
func newStandIn(t *testing.T, sources string, demo *Demo) http.Handler {
	t.Helper()
	sdl, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	s := &standIn{
		introspection: command(t, sources, sdl, "node", "browser/introspect.mjs"),
		open:          demo == nil,
		valid:         map[string]bool{},
		seconds:       3600,
		requests:      map[string]int{},
	}
	mux := http.NewServeMux()
	mux.Handle("/", GraphiQL(Config{Demo: demo}))
	mux.HandleFunc("POST /oauth2/token", s.token)
	mux.HandleFunc("POST /graphql", s.graphql)
	mux.HandleFunc("POST /standin/life", s.life)
	mux.HandleFunc("POST /standin/refuse", s.refuse)
	return mux
}

func (s *standIn) token(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	if id != "demo" || secret != "demo" || r.FormValue("grant_type") != "client_credentials" {
		reply(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.issued++
	token := fmt.Sprintf("eyJhbGciOiJFUzI1NiJ9.stand-in_%d.sig", s.issued)
	s.valid[token] = true
	reply(w, http.StatusOK, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": s.seconds})
}

func (s *standIn) life(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seconds, _ = strconv.Atoi(r.FormValue("seconds"))
	reply(w, http.StatusOK, map[string]any{"life": s.seconds})
}

func (s *standIn) refuse(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.valid)
	reply(w, http.StatusOK, map[string]any{})
}

func (s *standIn) graphql(w http.ResponseWriter, r *http.Request) {
	var request struct {
		OperationName string
		Variables     struct {
			Key   string
			Input struct{ IdempotencyKey, PaymentID string }
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		reply(w, http.StatusBadRequest, refusal("BAD_REQUEST"))
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case !s.valid[token] && (!s.open || request.OperationName != "IntrospectionQuery"):
		reply(w, http.StatusUnauthorized, refusal("UNAUTHENTICATED"))
	case request.OperationName == "IntrospectionQuery":
		reply(w, http.StatusOK, s.introspection)
	case request.OperationName == "Capture":
		reply(w, http.StatusOK, s.capture(request.Variables.Input.IdempotencyKey, request.Variables.Input.PaymentID))
	default:
		reply(w, http.StatusOK, s.answer(request.OperationName, request.Variables.Input.IdempotencyKey, request.Variables.Key))
	}
}

// answer is called under the lock.
func (s *standIn) answer(operation, key, asked string) any {
	switch operation {
	case "GraphiQLDemo":
		return object{"data": object{"accounts": wallets(), "payments": object{"nodes": []object{{"id": authorized}}}}}
	case "Accounts":
		return data("accounts", wallets())
	case "Pay":
		return s.create(key, object{"status": "SUCCEEDED", "amount": usd("12.50")})
	case "Authorize":
		return s.create(key, object{"status": "AUTHORIZED", "availableActions": actions("CAPTURE")})
	case "Payments":
		return data("payments", object{"nodes": []object{{
			"id": authorized, "status": "PARTIALLY_CAPTURED", "captures": object{"nodes": []object{{"amount": usd("25.00")}}},
		}}})
	case "Transfer":
		return data("transferFunds", object{
			"__typename":  "TransferFundsSuccess",
			"replayed":    false,
			"transaction": object{"id": "txn_1", "status": "POSTED"},
		})
	case "Account":
		return data("account", object{"name": "Ada", "transactions": object{"nodes": []object{{"id": "txn_1"}}}})
	case "Events":
		return data("events", object{"edges": []object{{"node": object{"sequence": 1}}}})
	case "Idempotency":
		if _, known := s.requests[asked]; known {
			return data("idempotentRequest", object{"operation": "createPayment"})
		}
		return data("idempotentRequest", nil)
	}
	return refusal("GRAPHQL_VALIDATION_FAILED")
}

// create is called under the lock.
func (s *standIn) create(key string, payment object) any {
	number, replayed := s.once(key)
	payment["id"] = fmt.Sprintf("pay_%d", number)
	return data("createPayment", object{"__typename": "CreatePaymentSuccess", "replayed": replayed, "payment": payment})
}

// capture is called under the lock.
func (s *standIn) capture(key, payment string) any {
	if payment != authorized {
		return data("capturePayment", object{"__typename": "NotFound", "code": "NOT_FOUND"})
	}
	number, replayed := s.once(key)
	return data("capturePayment", object{
		"__typename": "CapturePaymentSuccess",
		"replayed":   replayed,
		"capture":    object{"id": fmt.Sprintf("cap_%d", number), "amount": usd("25.00"), "final": false},
		"payment":    object{"id": payment, "status": "PARTIALLY_CAPTURED", "availableActions": actions("CAPTURE", "REFUND")},
	})
}

// once numbers the requests by their keys, and says whether the key was known.
func (s *standIn) once(key string) (number int, replayed bool) {
	number, replayed = s.requests[key]
	if !replayed {
		number = len(s.requests) + 1
		s.requests[key] = number
	}
	return number, replayed
}

// authorized is the payment whose money is set aside.
const authorized = "pay_authorized"

type object map[string]any

func data(field string, value any) object { return object{"data": object{field: value}} }

func refusal(code string) object {
	return object{"errors": []object{{"message": "refused", "extensions": object{"code": code}}}}
}

func usd(amount string) object { return object{"amount": amount, "currency": "USD"} }

// actions are those that are allowed.
func actions(names ...string) (all []object) {
	for _, name := range names {
		all = append(all, object{"action": name, "allowed": true})
	}
	return all
}

func wallets() object {
	return object{"nodes": []object{wallet(1, "FROZEN"), wallet(2, "ACTIVE"), wallet(3, "ACTIVE")}}
}

func wallet(number int, status string) object {
	return object{
		"id":       fmt.Sprintf("acc_%d", number),
		"name":     fmt.Sprintf("Wallet %d", number),
		"currency": "USD",
		"status":   status,
		"balance":  object{"posted": usd("1250.00"), "available": usd("1200.00")},
		"customer": object{"id": fmt.Sprintf("cus_%d", number), "name": fmt.Sprintf("Customer %d", number)},
	}
}

func reply(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}
