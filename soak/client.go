package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// answerWithin is what an answer may take: more than the gateway lets a caller wait.
	answerWithin = 12 * time.Second
	tokenLife    = 10 * time.Minute // less than that of the gateway's tokens
)

// merchantClient is how a merchant's backend reaches the nodes.
type merchantClient struct {
	addresses        []string // of the nodes, which have one issuer
	clientID, secret string
	http             *http.Client
	only             atomic.Int32 // the only node that is asked, from 1; 0: all
	mu               sync.Mutex
	token            string
	until            time.Time
}

func newMerchantClient(addresses []string, clientID, secret string, connections int) *merchantClient {
	return &merchantClient{
		addresses: addresses, clientID: clientID, secret: secret,
		http: &http.Client{Timeout: answerWithin, Transport: &http.Transport{MaxIdleConnsPerHost: connections}},
	}
}

// node is the node that is asked in a try.
func (m *merchantClient) node(try int) int {
	if only := m.only.Load(); only > 0 {
		return int(only) - 1
	}
	return try % len(m.addresses)
}

// trouble is why there is no answer.
type trouble struct {
	what    string
	unknown bool // the command may have been carried out
}

func (t *trouble) Error() string { return t.what }

// defectCode is what the gateway says of its own mistakes.
const defectCode = "INTERNAL"

// ask asks a node for something. Its error is a *trouble.
func (m *merchantClient) ask(ctx context.Context, node int, query string, variables map[string]any, data any) error {
	token, err := m.authorize(ctx, node)
	if err != nil {
		return &trouble{what: "no token: " + err.Error()}
	}
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, m.addresses[node]+"/graphql", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.GetBody = nil // nobody but us sends it again
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := m.http.Do(request)
	if err != nil {
		return lost(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return lost(err)
	}
	return read(response.StatusCode, text, data)
}

// lost tells a connection that was never there from one that was lost with the answer.
func lost(err error) *trouble {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return &trouble{what: "not reached"}
	}
	return &trouble{what: "CONNECTION_LOST", unknown: true}
}

// read reads an answer.
func read(status int, text []byte, data any) error {
	answer := struct {
		Data   any
		Errors []struct {
			Message    string
			Extensions struct{ Code string }
		}
	}{Data: data}
	if err := json.Unmarshal(text, &answer); err != nil {
		return &trouble{what: fmt.Sprintf("HTTP %d: %.200s", status, text), unknown: true}
	}
	if len(answer.Errors) > 0 {
		code := answer.Errors[0].Extensions.Code
		return &trouble{what: code, unknown: code == "OUTCOME_UNKNOWN"}
	}
	return nil
}

// authorize returns a token, which it asks a node for now and then.
func (m *merchantClient) authorize(ctx context.Context, node int) (string, error) {
	m.mu.Lock()
	token, until := m.token, m.until
	m.mu.Unlock()
	if time.Now().Before(until) {
		return token, nil
	}
	form := url.Values{"grant_type": {"client_credentials"}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, m.addresses[node]+"/oauth2/token", strings.NewReader(form))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(m.clientID, m.secret)
	response, err := m.http.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("HTTP %d: %w", response.StatusCode, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.token, m.until = answer.AccessToken, time.Now().Add(tokenLife)
	return m.token, nil
}
