package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/time/rate"

	"github.com/paygraph/paygraph/auth"
	"github.com/paygraph/paygraph/quota"
)

// subprotocol is GraphQL over WebSocket as clients of graphql-ws speak it.
const subprotocol = "graphql-transport-ws"

// Codes with which a socket is closed: those of the protocol, and those of RFC 6455 and IANA's registry with which its clients come back.
const (
	closeRestart        = 1012 // service restart
	closeTryAgain       = 1013 // try again later
	closeMalformed      = 4400
	closeUnauthorized   = 4401 // an operation before the acknowledgement
	closeForbidden      = 4403 // the credentials are wrong, or have ended
	closeNoSubprotocol  = 4406
	closeTimeout        = 4408
	closeDuplicateID    = 4409
	closeTooManyStarts  = 4429 // connection_init twice
	closeInternal       = 4500 // a panic
	reasonDuplicate     = "Subscriber for "
	reasonDuplicateEnd  = " already exists"
	maxReason           = 123 // bytes (RFC 6455, section 5.5)
	maxMessageSize      = 1 << 20
	drainAtMost         = 16 << 20  // bytes of a message that is too large
	maxOperations       = 256       // on one socket
	maxHeld             = 4 << 20   // bytes of what the operations on one socket ask for, together
	maxDocuments        = 256 << 10 // bytes of their documents among that, which share one that is the same: each keeps its plan, of up to weightOfByte times as much memory
	maxIDLength         = 256       // bytes of an operation's identifier
	messageRate         = 500       // messages a second that are read from one socket for long; more have to wait
	messageBurst        = 2 * maxOperations
	beginRate           = 50              // subscriptions a second that begin on one socket for long; as many as it may have begin at once
	closeWait           = 2 * controlTime // for a close frame of ours behind text that is stuck, and for the client's
	socketReadBuffer    = 512             // bytes; longer messages are read past it
	connectionAck       = `{"type":"connection_ack"}`
	pingMessage         = `{"type":"ping"}`
	stopping            = "the gateway is stopping: come back"
	tokenHasEnded       = "the access token has ended: come back with a new one"
	noPong              = "no pong has come"
	initTimeout         = "Connection initialisation timeout"
	tooManyInits        = "Too many initialisation requests"
	tooSlow             = "too slow: resume from your last cursor"
	notAcknowledged     = "Unauthorized"
	tooManySockets      = "too many sockets are open: close one, and come back"
	subprotocolRequired = "Subprotocol not acceptable"
	tooManyBegin        = "many sockets begin at your address: come back later"
)

// noBuffers is for messages that gorilla would write. It writes control frames alone, for which it takes no buffer.
var noBuffers = &sync.Pool{}

func upgrader(origins []string) websocket.Upgrader {
	return websocket.Upgrader{
		ReadBufferSize: socketReadBuffer, WriteBufferPool: noBuffers,
		Subprotocols: []string{subprotocol},
		CheckOrigin:  func(r *http.Request) bool { return mayOpen(r, origins) },
	}
}

// mayOpen says whether the page that opens a socket may: programs name none, and a page is this host's or one of a list.
func mayOpen(r *http.Request, origins []string) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || slices.Contains(origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}

// socket is one WebSocket. Its reader is the only goroutine that it always has: what comes for its subscriptions is written by its merchant's
// writers, or by one that lives until nothing waits.
type socket struct {
	handler *Handler
	ws      *websocket.Conn
	line    *line      // below it
	id      string     // of the request
	address netip.Addr // from where it was opened
	begun   func()     // is called when it is acknowledged, or ends before
	ctx     context.Context
	end     context.CancelFunc

	pace   *rate.Limiter // of the messages that are read
	begins *rate.Limiter // of the subscriptions, whose beginning costs the database something

	writing sync.Mutex // one message at a time

	mu           sync.Mutex
	principal    auth.Principal
	initialised  bool // connection_init has come
	acknowledged bool
	place        quota.Place // among its principal's, once it is acknowledged
	awaitsPong   bool
	timer        *time.Timer // the next ping, or the end of a wait
	expiry       *time.Timer
	operations   map[string]*running
	held         int        // bytes of what they ask for
	documents    int        // bytes of their documents, each once
	answering    int        // of them are queries and mutations, or may be
	waiting      []*running // those with items to be written
	attended     bool       // somebody writes them, or will
	farewell     *farewell  // with which the socket ends as soon as none is answering; nil: it takes operations
}

// serveSocket takes a WebSocket. The request's own goroutine and buffers go, and the socket's reader stays.
func (h *Handler) serveSocket(w http.ResponseWriter, r *http.Request) {
	id := SetRequestID(w.Header(), r.Header)
	from := h.engine.config.Address(r)
	begun, err := h.letIn(r.Context(), from)
	switch {
	case r.Context().Err() != nil: // nobody waits for it any more
		begun()
		return
	case err != nil:
		late := refuse(newError(unavailable, tooManyBegin)).after(h.times.begin)
		late.status = http.StatusServiceUnavailable
		writeRefusal(w, late, legacyJSON, id)
		return
	}
	conn := &lineWriter{ResponseWriter: w, patience: h.times.write}
	ws, err := h.upgrader.Upgrade(conn, r, http.Header{requestIDHeader: {id}})
	if err != nil { // it has answered
		begun()
		return
	}
	s := &socket{handler: h, ws: ws, line: conn.line, id: id, address: from, begun: begun, operations: map[string]*running{}}
	s.pace, s.begins = rate.NewLimiter(messageRate, messageBurst), rate.NewLimiter(beginRate, maxOperations)
	s.ctx, s.end = context.WithCancel(context.WithValue(context.Background(), requestIDKey{}, id))
	ws.SetReadLimit(maxMessageSize)
	ws.SetPingHandler(s.pinged)
	ws.SetPongHandler(func(string) error { s.slow(); return nil })
	if !h.open.add(s) {
		s.close(closeRestart, stopping)
		s.drain()
		_ = ws.Close()
		begun()
		return
	}
	s.mu.Lock()
	s.timer = time.AfterFunc(h.engine.config.Sockets.InitTimeout, s.beat)
	s.mu.Unlock()
	go s.read()
}

// letIn waits until one more WebSocket may come in from an address. begun has to be called when it is acknowledged, or has ended. While the gateway stops whoever
// waits comes in, to be told so. Error: that it would take too long, or the client has gone.
func (h *Handler) letIn(ctx context.Context, from netip.Addr) (begun func(), err error) {
	ctx, leave := h.open.enter(ctx)
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, h.times.begin)
	defer cancel()
	begun, err = h.engine.config.Strangers.Begin(ctx, from)
	if err != nil {
		begun = func() {}
	}
	if h.open.stopping.Err() != nil {
		err = nil
	}
	return begun, err
}

// survive closes the socket where one of its goroutines panics: nobody else would catch it.
func (s *socket) survive() {
	if cause := recover(); cause != nil {
		s.handler.engine.panicked(s.ctx, cause)
		s.close(closeInternal, internalMessage)
	}
}

// read takes messages until the socket ends.
func (s *socket) read() {
	defer s.release()
	defer s.survive()
	if s.ws.Subprotocol() != subprotocol {
		s.close(closeNoSubprotocol, subprotocolRequired)
	}
	for {
		kind, data, err := s.ws.ReadMessage()
		switch {
		case errors.Is(err, websocket.ErrReadLimit):
			s.close(websocket.CloseMessageTooBig, "") // where gorilla has not: a length that is none
			s.drain()
			return
		case err != nil:
			if s.line.isClosed() && !isEnd(err) {
				s.drain()
			}
			return
		case s.line.isClosed(): // it waits for the client's close frame
		case kind != websocket.TextMessage:
			s.close(closeMalformed, "a message is text")
		default:
			s.take(data)
		}
		s.slow()
	}
}

// isEnd says whether a connection has ended, and not what gorilla has closed it for: a frame that is none.
func isEnd(err error) bool {
	var network net.Error
	var closed *websocket.CloseError
	return errors.As(err, &network) || errors.As(err, &closed)
}

// slow has a client that sends too fast wait, by not reading on: it is refused nothing, and takes no more of the machine than others.
func (s *socket) slow() {
	if wait := s.pace.Reserve().Delay(); wait > 0 {
		select {
		case <-s.ctx.Done():
		case <-time.After(wait):
		}
	}
}

// drain reads what still comes from a client that has been told why nobody listens: closing a socket with unread bytes would reset it, and
// the client might never read why.
func (s *socket) drain() {
	s.line.close()
	conn := s.ws.NetConn()
	_ = conn.SetReadDeadline(time.Now().Add(closeWait))
	_, _ = io.CopyN(io.Discard, conn, drainAtMost)
}

// release ends everything that belongs to the socket.
func (s *socket) release() {
	s.line.close()
	s.end()
	s.mu.Lock()
	s.timer.Stop()
	if s.expiry != nil {
		s.expiry.Stop()
	}
	var left []*running
	for _, r := range s.operations {
		left = append(left, r)
	}
	clear(s.operations)
	s.place.Leave()
	s.begun()
	s.mu.Unlock()
	for _, r := range left {
		r.stop()
	}
	_ = s.ws.Close()
	s.handler.open.remove(s)
}

// close tells the client why the socket is closed, and gives it a moment to do the same.
func (s *socket) close(code int, reason string) {
	if !s.line.close() {
		return
	}
	s.end()
	if len(reason) > maxReason {
		reason = strings.ToValidUTF8(reason[:maxReason], "")
	}
	_ = s.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(closeWait))
	_ = s.ws.SetReadDeadline(time.Now().Add(closeWait))
}

// pinged answers a control ping, at the pace of messages.
func (s *socket) pinged(payload string) error {
	s.slow()
	_ = s.ws.WriteControl(websocket.PongMessage, []byte(payload), time.Now().Add(closeWait))
	return nil
}

var errClosed = errors.New("transport: the socket is closed")

// send writes a message. A client that does not take it in time loses the socket.
func (s *socket) send(message []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.say(message)
}

// say is send for who has the lock.
func (s *socket) say(message []byte) error {
	frames := buffers.Get().(*bytes.Buffer)
	defer release(frames)
	addText(frames, message)
	return s.write(frames)
}

// write sends frames, and empties their buffer. writing is held.
func (s *socket) write(frames *bytes.Buffer) error {
	err := s.line.text(frames.Bytes())
	frames.Reset()
	if err != nil && !errors.Is(err, errClosed) {
		s.giveUp()
	}
	return err
}

// giveUp ends the socket after a write that has failed: half a message may have gone out, and there is no use in a close frame.
func (s *socket) giveUp() {
	s.line.close()
	s.end()
	_ = s.ws.Close()
}

// beat is called by the timer: the client has not begun in time, has to be pinged, or has not answered.
func (s *socket) beat() {
	defer s.survive()
	times := s.handler.engine.config.Sockets
	s.mu.Lock()
	began, awaits := s.initialised, s.awaitsPong
	s.awaitsPong = began
	s.mu.Unlock()
	switch {
	case !began:
		s.close(closeTimeout, initTimeout)
	case awaits:
		s.close(closeTimeout, noPong)
	case !s.isStill():
		s.retire(&tokenEnded)
	case s.send([]byte(pingMessage)) == nil: // it may have waited for a client that reads slowly, whose time begins now
		s.mu.Lock()
		if s.awaitsPong && !s.line.isClosed() {
			s.timer.Reset(times.PongTimeout)
		}
		s.mu.Unlock()
	}
}

// still is the socket's principal as it may act now. Errors: the engine's.
func (s *socket) still(ctx context.Context) (auth.Principal, error) {
	s.mu.Lock()
	p := s.principal
	s.mu.Unlock()
	return s.handler.engine.still(ctx, p)
}

// isStill says whether streams go on, as they do where that cannot be found out.
func (s *socket) isStill() bool {
	_, err := s.still(s.ctx)
	return !errors.Is(err, auth.ErrUnauthenticated)
}

func (s *socket) pong() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.awaitsPong {
		s.awaitsPong = false
		s.timer.Reset(s.handler.engine.config.Sockets.PingInterval)
	}
}

// initialise takes connection_init, whose payload may have the credential.
func (s *socket) initialise(payload json.RawMessage) {
	s.mu.Lock()
	again := s.initialised
	s.initialised = true
	s.mu.Unlock()
	if again {
		s.close(closeTooManyStarts, tooManyInits)
		return
	}
	credential, refused := credentialOf(payload)
	switch {
	case refused != nil:
		s.close(closeForbidden, "Forbidden")
	case credential == nil:
		s.acknowledge(auth.Nobody)
	default: // meanwhile its messages are read: a ping is answered, and an operation comes too early
		go s.admit(*credential)
	}
}

// admit lets in who has a credential.
func (s *socket) admit(credential string) {
	ctx, cancel := context.WithTimeout(s.ctx, s.handler.engine.config.Limits.Deadline)
	defer cancel()
	principal, refused := s.handler.engine.authenticateSafely(ctx, credential, s.address)
	switch {
	case refused != nil && refused.status == http.StatusInternalServerError:
		s.close(closeInternal, internalMessage)
	case refused != nil && (refused.status == http.StatusServiceUnavailable || refused.status == http.StatusTooManyRequests):
		s.close(closeTryAgain, refused.errors[0].Message)
	case refused != nil:
		s.close(closeForbidden, "Forbidden")
	default:
		s.acknowledge(principal)
	}
}

// acknowledge lets operations in, unless the principal has as many sockets as it may. No result of theirs overtakes the acknowledgement.
func (s *socket) acknowledge(principal auth.Principal) {
	place, refusal := s.handler.engine.config.Quota.Open(principal.QuotaKey(s.address), principal.Limits())
	if refusal != quota.Granted {
		s.close(closeTryAgain, tooManySockets)
		return
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	if s.line.isClosed() { // it is being released, and its timers with it
		s.mu.Unlock()
		place.Leave()
		return
	}
	s.principal, s.acknowledged, s.place = principal, true, place
	s.begun()
	s.timer.Reset(s.handler.engine.config.Sockets.PingInterval)
	if !principal.Expires.IsZero() {
		s.expiry = time.AfterFunc(time.Until(principal.Expires), func() { s.retire(&tokenEnded) })
	}
	s.mu.Unlock()
	_ = s.say([]byte(connectionAck))
}

// credentialOf is what connection_init's payload has: { "Authorization": "Bearer …" }; nil: nothing.
func credentialOf(payload json.RawMessage) (*string, *requestError) {
	var members map[string]json.RawMessage
	if len(payload) > 0 {
		_ = json.Unmarshal(payload, &members) // it is an object
	}
	sent, ok := members["Authorization"]
	if !ok {
		if sent, ok = members["authorization"]; !ok {
			return nil, nil
		}
	}
	var credential string
	if json.Unmarshal(sent, &credential) != nil {
		return nil, wrongCredentials()
	}
	return &credential, nil
}
