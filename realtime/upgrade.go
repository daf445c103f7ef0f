package realtime

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/coder/websocket"

	"vigil"
	"vigil/realtime/internal/line"
	"vigil/realtime/protocol"
)

// refusal is an upgrade that is not made.
type refusal struct {
	status int
	duty   protocol.Duty
	err    error
	wait   time.Duration
}

func (r *refusal) Error() string { return r.err.Error() }

func (r *refusal) Unwrap() error { return r.err }

// refuse maps an error to the refusal that it stands for.
func refuse(err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	switch vigil.CodeOf(err) {
	case vigil.CodeUnauthorized:
		return &refusal{http.StatusUnauthorized, protocol.DutyRenew, err, 0}
	case vigil.CodeForbidden, vigil.CodeNotFound, vigil.CodeIllegal, vigil.CodeInvalid:
		return &refusal{http.StatusForbidden, protocol.DutyStop, err, 0}
	case vigil.CodeTooMany:
		return &refusal{http.StatusTooManyRequests, protocol.DutyRetry, err, time.Second}
	}
	return &refusal{http.StatusServiceUnavailable, protocol.DutyRetry, err, time.Second}
}

// ServeHTTP upgrades to a socket, or refuses with a JSON problem before the upgrade. It
// returns as soon as the socket is open, so that the server's buffers for the request
// are freed; the socket lives in goroutines that the hub counts, and ends with Drain or
// Close.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isCheck(r.Header) {
		h.serveCheck(w, r)
		return
	}
	h.upgrading.Add(1) // before draining is looked at, so that Drain waits for it
	defer h.upgrading.Add(-1)
	began := h.now()
	claims, serve, err := h.admit(r)
	if err != nil {
		h.noteRefused(r, claims, began, err)
		h.refuseHTTP(w, r, err)
		return
	}
	release := serve.release
	if !h.tasks.Begin() {
		release()
		h.refuseHTTP(w, r, errDraining)
		return
	}
	// The library keeps what was selected as a part of the header, and the token with it.
	r.Header["Sec-Websocket-Protocol"] = []string{protocol.Subprotocol}
	hand := &handover{ResponseWriter: w}
	ws, err := websocket.Accept(hand, r, &websocket.AcceptOptions{
		Subprotocols:       []string{protocol.Subprotocol},
		InsecureSkipVerify: true, // the origin was checked, more strictly
		CompressionMode:    websocket.CompressionDisabled,
	})
	var l line.Line
	switch {
	case err != nil: // Accept has answered
		h.log.Debug("an upgrade failed", "error", err)
	default:
		_ = ws.CloseNow() // only to free it: the connection is not its own any more
		if l, err = h.polls[h.rush.opened.Load()%int64(len(h.polls))].Take(hand.conn.Conn); err != nil {
			h.log.Error("a connection cannot be watched; are there too few open files?", "error", err)
			_ = hand.conn.Conn.Close() // nobody else does
		}
	}
	if err != nil {
		h.stats.refused.Add(1)
		release()
		h.tasks.Done()
		return
	}
	c := h.newConn(l, claims)
	c.address, c.browser = h.address(r), unique.Make(r.UserAgent())
	c.release = release
	h.rush.opened.Add(1)
	c.peer = serve.peer(c)
	h.mu.Lock()
	h.conns[c] = struct{}{}
	h.mu.Unlock()
	if h.ctx.Err() != nil {
		c.kill() // Close may have looked before
	}
	if h.draining.Load() {
		c.drain(h.spread()) // as may Drain
	}
	first := hand.first
	go c.begin(first)
}

// admitted is what a socket will be, and how to give back what was reserved for it.
type admitted struct {
	peer    func(c *conn) peer
	release func()
}

var errDraining = &refusal{
	http.StatusServiceUnavailable, protocol.DutyRetry, vigil.Errorf(vigil.CodeUnavailable, "This server is about to stop; connect again in a moment."), time.Second,
}

// admit makes every check that can be made before the upgrade: state of the node, form,
// origin, token, session or exam, number of sockets. Whatever can fail by the store is
// asked here, because a refusal says more than a close.
func (h *Hub) admit(r *http.Request) (Claims, admitted, error) {
	none := func(err error) (Claims, admitted, error) { return Claims{}, admitted{}, err }
	if h.draining.Load() {
		return none(errDraining)
	}
	if err := upgradeOnly(r); err != nil {
		return none(err)
	}
	ctx := r.Context()
	if err := h.checkOrigin(ctx, r); err != nil {
		return none(err)
	}
	token, err := offered(r.Header)
	if err != nil {
		return none(err)
	}
	claims, err := h.cfg.Verifier.VerifySocket(ctx, token)
	if err != nil {
		return none(err)
	}
	now := h.now()
	if !now.Before(claims.Expires) || !claims.Until.IsZero() && !now.Before(claims.Until) {
		return claims, admitted{}, vigil.Errorf(vigil.CodeUnauthorized, "The token has run out.")
	}
	if h.cfg.Allow != nil {
		origin := r.Header.Get("Origin")
		if origin == h.cfg.Origin {
			origin = ""
		}
		if err := h.cfg.Allow(ctx, claims, origin); err != nil {
			return claims, admitted{}, err
		}
	}
	var a admitted
	switch {
	case claims.Role == vigil.RoleStudent && claims.Session != "":
		a, err = h.admitStudent(ctx, claims)
	case claims.Role == vigil.RoleProctor && claims.Exam != "" && claims.Session == "":
		a, err = h.admitProctor(ctx, claims)
	default:
		err = vigil.Errorf(vigil.CodeForbidden, "This token is for something else.")
	}
	return claims, a, err
}

// upgradeOnly refuses what asks for no upgrade.
func upgradeOnly(r *http.Request) error {
	if r.Method != http.MethodGet || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return &refusal{http.StatusUpgradeRequired, protocol.DutyStop, vigil.Invalid("", "This address speaks WebSocket only."), 0}
	}
	return nil
}

// checkOrigin wants the Origin header to be there, once, and to be the tool's own or an
// active platform's. Programs can forge it; it keeps other web pages out.
func (h *Hub) checkOrigin(ctx context.Context, r *http.Request) error {
	forbidden := vigil.Errorf(vigil.CodeForbidden, "Connections are taken from Vigil's own pages and from its platforms only.")
	values := r.Header.Values("Origin")
	if len(values) != 1 || vigil.Origin(values[0]) != values[0] || values[0] == "" {
		return forbidden
	}
	if values[0] == h.cfg.Origin {
		return nil
	}
	if h.cfg.AllowOrigin == nil {
		return forbidden
	}
	began := h.now()
	ok, err := h.cfg.AllowOrigin(ctx, values[0])
	h.noteRead(began, err)
	if err != nil {
		return vigil.Wrap(err, vigil.CodeUnavailable, "The platforms cannot be read at the moment; try again.")
	}
	if !ok {
		return forbidden
	}
	return nil
}

// offered takes the token out of the offered subprotocols: ours once, one token.
func offered(header http.Header) (token string, err error) {
	ours := 0
	for _, line := range header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			p = strings.TrimSpace(p)
			switch t, isToken := strings.CutPrefix(p, protocol.TokenSubprotocol); {
			case p == protocol.Subprotocol:
				ours++
			case isToken && t != "" && token == "" && strings.Trim(t, jwsLetters) == "":
				token = t
			default:
				return "", errOffered
			}
		}
	}
	if ours != 1 || token == "" {
		return "", errOffered
	}
	return token, nil
}

// jwsLetters are those of a compact JWS. Trim takes letters off both ends only, which
// leaves nothing exactly if there is nothing else.
const jwsLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

var errOffered = vigil.Errorf(vigil.CodeUnauthorized, "A connection offers exactly two subprotocols: %s and its token.", protocol.Subprotocol)

// reserve counts a socket of a session before it is opened. more are allowed beyond the limit.
func (h *Hub) reserve(session string, more int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.conns) >= h.cfg.Limits.Sockets {
		h.outages.turned(h.now())
		return vigil.Errorf(vigil.CodeUnavailable, "This server is full; try again.")
	}
	if session == "" {
		return nil
	}
	if h.pending[session] >= h.cfg.Limits.SocketsPerSession+more {
		return vigil.Errorf(vigil.CodeTooMany, "This attempt has too many connections at once; close its other windows.")
	}
	h.pending[session]++
	return nil
}

// reserveNewest is reserve for a student. Where the session has as many sockets as it may, the
// oldest goes: a client that went silent leaves sockets that nobody closes, and the newest is the
// one that somebody sits at. What is ending counts until it has ended.
func (h *Hub) reserveNewest(session string) error {
	err := h.reserve(session, 0)
	if vigil.CodeOf(err) == vigil.CodeTooMany && h.endOldest(session) {
		err = h.reserve(session, h.cfg.Limits.SocketsPerSession)
	}
	return err
}

// endOldest ends a session's oldest socket; false: all are still being opened.
func (h *Hub) endOldest(session string) bool {
	st := h.student(session)
	if st == nil {
		return false
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.conns) == 0 {
		return false
	}
	victim := st.conns[0]
	if i := slices.IndexFunc(st.conns, func(c *conn) bool { return c != st.owner }); i >= 0 {
		victim = st.conns[i] // who only tests does not put out who is watched
	}
	victim.kill()
	return true
}

func (h *Hub) unreserve(session string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pending[session]--; h.pending[session] <= 0 {
		delete(h.pending, session)
	}
}

func (h *Hub) admitStudent(ctx context.Context, claims Claims) (admitted, error) {
	began := h.now()
	s, err := h.store.Session(ctx, claims.Session)
	h.noteRead(began, err)
	if err != nil {
		return admitted{}, gone(err)
	}
	exam, err := h.exam(ctx, s.ExamID)
	if err != nil {
		return admitted{}, gone(err)
	}
	if err := mayStudent(claims, h.Live(s).Settled(exam.Policy, h.now())); err != nil {
		return admitted{}, err
	}
	if err := h.reserveNewest(s.ID); err != nil {
		return admitted{}, err
	}
	began = h.now()
	epoch, err := h.store.NextEpoch(ctx, s.ID)
	h.noteStore(began, err)
	var st *student
	if err == nil {
		st, err = h.studentOf(s, exam)
	}
	if err != nil {
		h.unreserve(s.ID)
		return admitted{}, gone(err)
	}
	return admitted{
		peer: func(c *conn) peer {
			claims := c.claims.Load()
			claims.Session = st.id // the same texts, once
			if claims.Exam != "" {
				claims.Exam = st.room.exam
			}
			return &studentConn{conn: c, st: st, epoch: epoch, stored: &s.Presence}
		},
		release: func() { h.unreserve(st.id) },
	}, nil
}

func (h *Hub) admitProctor(ctx context.Context, claims Claims) (admitted, error) {
	exam, err := h.store.Exam(ctx, claims.Exam)
	if err != nil {
		return admitted{}, gone(err)
	}
	if err := h.reserve("", 0); err != nil {
		return admitted{}, err
	}
	r, err := h.enter(exam)
	if err != nil {
		return admitted{}, err
	}
	// What another server changed before the room was there was told to nobody here.
	if err := r.reload(ctx); err != nil {
		h.leave(r)
		return admitted{}, gone(err)
	}
	access, err := h.accessOf(ctx, *r.known.Load(), claims)
	if err != nil {
		h.leave(r)
		return admitted{}, err
	}
	if len(*r.proctors.Load()) >= h.cfg.Limits.ProctorsPerExam {
		h.leave(r)
		return admitted{}, vigil.Errorf(vigil.CodeTooMany, "Too many dashboards of this exam are open; close some.")
	}
	return admitted{
		peer: func(c *conn) peer {
			p := &proctor{conn: c, room: r}
			p.access.Store(&access)
			return p
		},
		release: func() { h.leave(r) },
	}, nil
}

// gone makes "not found" of a session or exam a refusal that fits a token for it.
func gone(err error) error {
	if errors.Is(err, vigil.ErrNotFound) {
		return vigil.Wrap(err, vigil.CodeForbidden, "The attempt or exam of this connection does not exist any more.")
	}
	return err
}

// address is the client's, by Config.Address.
func (h *Hub) address(r *http.Request) string {
	if h.cfg.Address != nil {
		return h.cfg.Address(r)
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func (h *Hub) refuseHTTP(w http.ResponseWriter, r *http.Request, err error) {
	h.stats.refused.Add(1)
	f := refuse(err)
	if f.status == http.StatusServiceUnavailable {
		h.log.WarnContext(r.Context(), "an upgrade is refused", "error", err)
	} else {
		h.log.DebugContext(r.Context(), "an upgrade is refused", "error", err)
	}
	code := vigil.CodeOf(f.err)
	p := protocol.Problem{
		Type: "about:blank", Title: http.StatusText(f.status), Status: f.status, Code: code, Duty: f.duty,
		Detail: vigil.MessageOf(f.err), Wait: f.wait.Milliseconds(),
	}
	if code == vigil.CodeInternal || p.Detail == "" {
		p.Code, p.Detail = vigil.CodeUnavailable, "Vigil cannot do this at the moment; try again."
	}
	body, merr := json.Marshal(p)
	if merr != nil {
		body = []byte("{}")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(f.status)
	_, _ = w.Write(body) // the client may be gone
}

// handover takes the connection out of the hands of the WebSocket library after the
// handshake, which is the library's part: its reader would hold a goroutine, a stack and
// buffers for each socket.
type handover struct {
	http.ResponseWriter
	conn  *handed
	first []byte // what the client sent behind its request
}

// handed is a connection that the library cannot close.
type handed struct{ net.Conn }

// Close does nothing.
func (*handed) Close() error { return nil }

// Hijack implements http.Hijacker.
func (o *handover) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(o.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if first, err := rw.Reader.Peek(rw.Reader.Buffered()); err == nil {
		o.first = bytes.Clone(first)
	}
	o.conn = &handed{conn}
	return o.conn, rw, nil
}
