package realtime

import (
	"context"
	"net"
	"net/http"
	"slices"

	"vigil"
	"vigil/realtime/socket"
)

// ServeHTTP upgrades to a socket, or refuses with a JSON problem before the upgrade. It
// returns as soon as the socket is open, so that the server's buffers for the request
// are freed; the socket lives in goroutines that the hub counts, and ends with Drain or
// Close.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if socket.OffersTrial(r.Header) {
		h.serveTrial(w, r)
		return
	}
	h.upgrading.Add(1) // before draining is looked at, so that Drain waits for it
	defer h.upgrading.Add(-1)
	began := h.now()
	claims, serve, err := h.admit(r)
	if err != nil {
		h.noteRefused(r, claims, began, err)
		h.sockets.Refuse(w, r, err)
		return
	}
	if !h.tasks.Begin() {
		serve.release()
		h.sockets.Refuse(w, r, socket.ErrDraining)
		return
	}
	c, begin := h.sockets.Upgrade(w, r, socket.Opening{Claims: claims, Address: h.address(r), UserAgent: r.UserAgent(), Peer: serve.peer, Release: serve.release})
	if c == nil {
		return
	}
	if h.draining.Load() {
		c.Drain(h.spread()) // Drain may have looked before
	}
	go begin()
}

// serveTrial opens a trial socket. It asks what other sockets ask before their token: that the node
// stays, and that the page is the tool's or an active platform's.
func (h *Hub) serveTrial(w http.ResponseWriter, r *http.Request) {
	if h.draining.Load() || !h.tasks.Begin() {
		h.sockets.Refuse(w, r, socket.ErrDraining)
		return
	}
	defer h.tasks.Done()
	if err := socket.CheckUpgrade(r); err != nil {
		h.sockets.Refuse(w, r, err)
		return
	}
	if err := h.checkOrigin(r.Context(), r); err != nil {
		h.sockets.Refuse(w, r, err)
		return
	}
	h.sockets.ServeTrial(w, r)
}

// admitted is what a socket will be, and how to give back what was reserved for it.
type admitted struct {
	peer    func(c *socket.Conn) socket.Peer
	release func()
}

// admit makes every check that can be made before the upgrade: state of the node, form,
// origin, token, session or exam, number of sockets. Whatever can fail by the store is
// asked here, because a refusal says more than a close.
func (h *Hub) admit(r *http.Request) (vigil.SocketClaims, admitted, error) {
	none := func(err error) (vigil.SocketClaims, admitted, error) { return vigil.SocketClaims{}, admitted{}, err }
	if h.draining.Load() {
		return none(socket.ErrDraining)
	}
	if err := socket.CheckUpgrade(r); err != nil {
		return none(err)
	}
	ctx := r.Context()
	if err := h.checkOrigin(ctx, r); err != nil {
		return none(err)
	}
	token, err := socket.OfferedToken(r.Header)
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

// reserve counts a socket of a session before it is opened. more are allowed beyond the limit.
func (h *Hub) reserve(session string, more int) error {
	err := h.sockets.Reserve(session, more)
	if vigil.CodeOf(err) == vigil.CodeUnavailable {
		h.outages.TurnedAway(h.now())
	}
	return err
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
	if i := slices.IndexFunc(st.conns, func(c *socket.Conn) bool { return c != st.owner }); i >= 0 {
		victim = st.conns[i] // who only tests does not put out who is watched
	}
	victim.Kill()
	return true
}

func (h *Hub) admitStudent(ctx context.Context, claims vigil.SocketClaims) (admitted, error) {
	began := h.now()
	s, err := h.store.Session(ctx, claims.Session)
	h.noteRead(began, err)
	if err != nil {
		return admitted{}, socket.ForbidMissing(err)
	}
	exam, err := h.Exam(ctx, s.ExamID)
	if err != nil {
		return admitted{}, socket.ForbidMissing(err)
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
		h.sockets.Unreserve(s.ID)
		return admitted{}, socket.ForbidMissing(err)
	}
	return admitted{
		peer: func(c *socket.Conn) socket.Peer {
			claims := c.Claims()
			claims.Session = st.id // the same texts, once
			if claims.Exam != "" {
				claims.Exam = st.room.exam
			}
			return &studentConn{Conn: c, st: st, epoch: epoch, stored: &s.Presence}
		},
		release: func() { h.sockets.Unreserve(st.id) },
	}, nil
}

func (h *Hub) admitProctor(ctx context.Context, claims vigil.SocketClaims) (admitted, error) {
	exam, err := h.store.Exam(ctx, claims.Exam)
	if err != nil {
		return admitted{}, socket.ForbidMissing(err)
	}
	if err := h.reserve("", 0); err != nil {
		return admitted{}, err
	}
	r, err := h.enter(exam)
	if err != nil {
		return admitted{}, err
	}
	// What another server changed before the room was there was told to nobody here.
	if err := r.Reload(ctx); err != nil {
		h.leave(r)
		return admitted{}, socket.ForbidMissing(err)
	}
	access, err := r.Access(ctx, claims)
	if err != nil {
		h.leave(r)
		return admitted{}, err
	}
	if r.Open() >= h.cfg.Limits.ProctorsPerExam {
		h.leave(r)
		return admitted{}, vigil.Errorf(vigil.CodeTooMany, "Too many dashboards of this exam are open; close some.")
	}
	return admitted{
		peer:    func(c *socket.Conn) socket.Peer { return r.Peer(c, access) },
		release: func() { h.leave(r) },
	}, nil
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
