// Package protocol is vigil.v1, what clients and servers say to each other on a WebSocket: the
// types of the frames, how they are read and written, the close codes, and how what the root
// package knows looks in frames. It holds no state. A client needs nothing else of Vigil's server.
package protocol

import (
	"encoding/json"

	"vigil"
)

// The wire protocol, version 1. Everything here is described for people in
// docs/protocol.md; a test holds that page against these constants.
//
// Text frames carry one JSON object or an array of up to MaxBatch of them. Each object
// has its type in "t". All times are integers: milliseconds, since the Unix epoch where
// they are moments. Fields that are zero are left out.
const (
	// Subprotocol is the only one that is ever answered.
	Subprotocol = "vigil.v1"
	// TokenSubprotocol begins the second offered subprotocol, which carries the socket
	// token; it is never answered and never in a URL.
	TokenSubprotocol = "vigil.token."
	// CheckSubprotocol is offered in the token's place by who only tries whether a socket
	// can be opened: it is closed at once, normally, with CheckReason.
	CheckSubprotocol = "vigil.check"
	CheckReason      = "checked"

	MaxMessage = 64 << 10 // bytes of a frame
	MaxBatch   = 256      // objects in an array
	MaxDepth   = 16       // of nested JSON
)

// Type is the value of a frame's "t".
type Type string

// What students send.
const (
	TypeHello  Type = "hello"  // Hello: the first frame; whose outbox this is
	TypeSignal Type = "signal" // SignalUp
	TypeChat   Type = "chat"   // ChatUp; proctors send it too
	TypeSeen   Type = "seen"   // SeenUp; proctors send it too
	TypeBye    Type = "bye"    // Bye: the socket will be closed, and why
	TypeAlive  Type = "alive"  // AliveUp: the monitor's totals; down: Alive, which asks for them
	TypeTime   Type = "time"   // TimeUp: asks for the server's time; answered by Time
)

// What proctors send, beside chat, seen, bye and time.
const (
	TypeSubscribe Type = "subscribe" // Subscribe: asks for a snapshot and deltas after it
	TypeCommand   Type = "command"   // CommandUp; down: CommandDown
	TypeLostTime  Type = "lost_time" // LostTimeUp: grants or refuses what the ledger proposes
)

// What the server sends. Chat, command, signal and time go both ways.
const (
	TypeWelcome  Type = "welcome"  // Welcome (student) or ProctorWelcome
	TypeAck      Type = "ack"      // Ack
	TypeState    Type = "state"    // StateDown: the student's session changed
	TypeToken    Type = "token"    // Token: a fresh socket token
	TypeError    Type = "error"    // Error
	TypeNotice   Type = "notice"   // Notice
	TypeHand     Type = "hand"     // HandDown: a proctor lowered the student's hand
	TypeReceipt  Type = "receipt"  // ReceiptDown: a receipt for the student's page
	TypeSnapshot Type = "snapshot" // Snapshot: a page of rows
	TypeSession  Type = "session"  // SessionDelta
	TypeGap      Type = "gap"      // GapDown
	TypeProgress Type = "progress" // Progress of a command
	TypePulse    Type = "pulse"    // Pulse
	TypeAccess   Type = "access"   // AccessDown: what a proctor may do has changed
)

// Head is the part that all frames share.
type Head struct {
	T Type `json:"t"`
}

// Hello is a student's first frame. Stream is the outbox's random id (vigil.ValidStream).
// Next is the number that the next new signal will get: every number below it was given
// once, so the server can tell a hole.
type Hello struct {
	T      Type   `json:"t"`
	Stream string `json:"stream"`
	Next   int64  `json:"next"`
	Page   int    `json:"page,omitempty"`  // of the quiz, from 1; for proctors
	Stamp  string `json:"stamp,omitempty"` // the page stamp that the platform printed into the page (docs/assertion.md)
	// Can lists what the monitor can beside the first protocol: "alive".
	Can []string `json:"can,omitempty"`
}

// Alive asks a student's monitor for its totals.
type Alive struct {
	T  Type   `json:"t"`
	ID string `json:"id"`
}

// AliveUp is what a monitor tells of its page, from its start on. With the ID it answers; without,
// it tells by itself that the page is hidden, shown or left.
type AliveUp struct {
	T       Type   `json:"t"`
	ID      string `json:"id,omitempty"`
	Doc     string `json:"doc"`            // a random id of the page (vigil.ValidID)
	Pages   int64  `json:"pages"`          // that its window has shown of the attempt
	Visible int64  `json:"visible"`        // ms
	Hidden  int64  `json:"hidden"`         // ms
	Focus   int64  `json:"focus"`          // times that it got the focus
	Focused int64  `json:"focused"`        // ms
	Given   int64  `json:"given"`          // the highest number that a signal of the outbox was given
	Away    bool   `json:"away,omitempty"` // it is hidden
}

// SignalUp is one signal. The server rates it; it is acknowledged when it is stored.
type SignalUp struct {
	T    Type            `json:"t"`
	Seq  int64           `json:"seq"`
	Kind vigil.Kind      `json:"kind"`
	At   int64           `json:"at"`
	Dur  int64           `json:"dur,omitempty"`
	Data json.RawMessage `json:"data,omitempty"`
}

// ChatUp is a chat line; ID is chosen by the sender (vigil.ValidID) and acknowledged by
// Ack. Session is for proctors only.
type ChatUp struct {
	T       Type   `json:"t"`
	ID      string `json:"id"`
	Session string `json:"session,omitempty"`
	Text    string `json:"text"`
}

// SeenUp acknowledges: from a student, the command ID; from a proctor, the chat and the
// raised hand of Session.
type SeenUp struct {
	T       Type   `json:"t"`
	ID      string `json:"id,omitempty"`
	Session string `json:"session,omitempty"`
}

// Bye announces that the client will close.
type Bye struct {
	T      Type            `json:"t"`
	Reason vigil.ByeReason `json:"reason"`
}

// TimeUp asks for the server's time; At comes back unchanged.
type TimeUp struct {
	T  Type  `json:"t"`
	At int64 `json:"at"`
}

// Subscribe asks for a snapshot of the exam. Signals says which signals are wanted
// after it: "all" (default), "incidents" or "none".
type Subscribe struct {
	T       Type   `json:"t"`
	Signals string `json:"signals,omitempty"`
}

// CommandUp is a proctor's command to some sessions of the exam. The id is chosen by
// the proctor's browser; sending it again changes nothing and gives the same progress.
type CommandUp struct {
	T        Type              `json:"t"`
	ID       string            `json:"id"`
	Kind     vigil.CommandKind `json:"kind"`
	Targets  []string          `json:"targets,omitempty"` // session ids
	All      bool              `json:"all,omitempty"`     // every session that has not ended, instead of targets
	Text     string            `json:"text,omitempty"`
	Reason   string            `json:"reason,omitempty"`  // a reason code
	Seconds  int64             `json:"seconds,omitempty"` // extend
	Severity float64           `json:"severity,omitempty"`
}

// LostTimeUp decides on what the ledger proposes for the targets: granted time becomes
// an extend command with this id.
type LostTimeUp struct {
	T       Type     `json:"t"`
	ID      string   `json:"id"`
	Targets []string `json:"targets"`
	Grant   bool     `json:"grant"`
}

// Welcome is the first frame to a student.
type Welcome struct {
	T        Type          `json:"t"`
	Role     vigil.Role    `json:"role"` // student
	Session  string        `json:"session"`
	Exam     ExamView      `json:"exam"`
	Now      int64         `json:"now"`
	Epoch    int64         `json:"epoch,omitempty"` // 0: the socket does not own the session
	State    vigil.State   `json:"state"`
	Version  int64         `json:"version"`
	End      int64         `json:"end,omitempty"`  // moment; 0: no end
	Left     int64         `json:"left,omitempty"` // while paused: the time that stands still
	Reason   string        `json:"reason,omitempty"`
	Hand     bool          `json:"hand,omitempty"`
	Ping     int64         `json:"ping"` // the server is heard at least so often
	Chat     []ChatDown    `json:"chat,omitempty"`
	Commands []CommandDown `json:"commands,omitempty"` // those not seen yet, oldest first
}

// ExamView is what a client needs to know of the exam.
type ExamView struct {
	ID         string        `json:"id"`
	Title      string        `json:"title"`
	Course     string        `json:"course,omitempty"`
	Watch      []vigil.Watch `json:"watch"`
	Fullscreen bool          `json:"fullscreen,omitempty"`
	Pause      bool          `json:"pause,omitempty"`
	Admission  bool          `json:"admission,omitempty"`
	Attention  float64       `json:"attention"`
}

// Ack says that signals (by stream and numbers) or a chat line (by id) are stored. The
// client forgets them.
type Ack struct {
	T      Type    `json:"t"`
	Stream string  `json:"stream,omitempty"`
	Seqs   []int64 `json:"seqs,omitempty"`
	ID     string  `json:"id,omitempty"`
}

// CommandDown is a proctor's command as a student gets it. By is the proctor's name for
// people, where the exam shows one.
type CommandDown struct {
	T    Type              `json:"t"`
	ID   string            `json:"id"`
	Kind vigil.CommandKind `json:"kind"`
	Text string            `json:"text,omitempty"`
	By   string            `json:"by,omitempty"`
	Secs int64             `json:"seconds,omitempty"`
	At   int64             `json:"at"`
}

// StateDown tells a student that the session is in another state.
type StateDown struct {
	T       Type        `json:"t"`
	State   vigil.State `json:"state"`
	Version int64       `json:"version"`
	Reason  string      `json:"reason,omitempty"`
	At      int64       `json:"at"`
}

// ChatDown is a chat line to students and proctors.
type ChatDown struct {
	T       Type       `json:"t"`
	ID      string     `json:"id"`
	Session string     `json:"session,omitempty"`
	From    vigil.Role `json:"from"`
	Name    string     `json:"name,omitempty"`
	Text    string     `json:"text"`
	Urgent  bool       `json:"urgent,omitempty"`
	At      int64      `json:"at"`
}

// Token is a fresh socket token, sent before the present one ends.
type Token struct {
	T       Type   `json:"t"`
	Token   string `json:"token"`
	Expires int64  `json:"expires"`
}

// Time answers TimeUp (At set), and tells a student that the end moved.
type Time struct {
	T    Type  `json:"t"`
	At   int64 `json:"at,omitempty"`
	Now  int64 `json:"now"`
	End  int64 `json:"end,omitempty"`
	Left int64 `json:"left,omitempty"` // while paused
}

// Duty tells a client what to do after an error or a close.
type Duty string

// The duties.
const (
	DutyRetry Duty = "retry" // the same again, after Wait or a growing pause
	DutyRenew Duty = "renew" // get a new token first
	DutyStop  Duty = "stop"  // do not come back by itself
	DutyDrop  Duty = "drop"  // forget the frame that Ref names; the socket lives
)

// Error answers a frame that could not be taken. The socket lives unless a close
// follows.
type Error struct {
	T       Type       `json:"t"`
	Code    vigil.Code `json:"code"`
	Message string     `json:"message"`
	Duty    Duty       `json:"duty"`
	Ref     string     `json:"ref,omitempty"` // the frame's id, or its seq as text
	Field   string     `json:"field,omitempty"`
	Wait    int64      `json:"wait,omitempty"`
}

// NoticeKind names a condition of ours that people should see.
type NoticeKind string

// The notices. Each has an end: the same kind with Over set.
const (
	NoticeSaving NoticeKind = "saving_later" // the store does not answer; the outbox holds
	NoticeDrain  NoticeKind = "reconnect"    // this node stops: come back after Wait
	NoticeBehind NoticeKind = "behind"       // this proctor's socket is slow; a fresh snapshot follows
	NoticeRelay  NoticeKind = "relay"        // other nodes' changes come late
)

// Notice tells of such a condition.
type Notice struct {
	T    Type       `json:"t"`
	Kind NoticeKind `json:"kind"`
	Over bool       `json:"over,omitempty"`
	Wait int64      `json:"wait,omitempty"`
}

// HandDown tells a student that a proctor has dealt with the raised hand and lowered it.
type HandDown struct {
	T Type `json:"t"`
}

// ReceiptDown is a receipt of the page that the student has open, for the page to hand to its
// platform. A later one of the same page holds all that an earlier one does, unless there was
// a break between them.
type ReceiptDown struct {
	T       Type   `json:"t"`
	Page    string `json:"page"`  // the page stamp's jti
	Until   int64  `json:"until"` // when it was made
	Receipt string `json:"receipt"`
}

// ProctorWelcome is the first frame to a proctor.
type ProctorWelcome struct {
	T    Type       `json:"t"`
	Role vigil.Role `json:"role"` // proctor
	Exam ExamView   `json:"exam"`
	Now  int64      `json:"now"`
	Ping int64      `json:"ping"`
	Name string     `json:"name,omitempty"`
	// Access is what the proctor may do; missing: everything, for the platform tells nothing of it.
	Access *AccessView `json:"access,omitempty"`
}

// AccessView is what a proctor may do, and whether they see every student.
type AccessView struct {
	Rights []vigil.Right `json:"rights"`
	All    bool          `json:"all"`
}

// AccessDown tells a proctor that what they may do, or whom they see, has changed. Where they see
// other students than before a snapshot follows; of other groups than before the frame may say the
// same as the one before.
type AccessDown struct {
	T Type `json:"t"`
	AccessView
}

// Snapshot is one page of the exam's sessions. Its number is the same on all pages of
// one snapshot; deltas may come between pages and count by their own versions. Rows
// that a client has and that no page of a whole snapshot named are gone.
type Snapshot struct {
	T      Type  `json:"t"`
	Number int64 `json:"number"`
	Page   int   `json:"page"` // from 1
	Last   bool  `json:"last,omitempty"`
	Rows   []Row `json:"rows"`
}

// Row is a session as a dashboard shows it, in parts that change apart. In a delta
// only changed ones are there. One that is older than the one shown (Life, Lost and Group by
// Version, Conn by Epoch and then Since) is ignored.
type Row struct {
	ID      string      `json:"id"`
	Who     *RowWho     `json:"who,omitempty"`
	Life    *RowLife    `json:"life,omitempty"`
	Conn    *RowConn    `json:"conn,omitempty"`
	Tally   *RowTally   `json:"tally,omitempty"`
	Monitor *RowMonitor `json:"monitor,omitempty"`
	Lost    *RowLost    `json:"lost,omitempty"`
	Group   *RowGroups  `json:"groups,omitempty"`
	LMS     []Progress  `json:"lms,omitempty"` // snapshot: commands whose answer is not in yet, or was bad
}

// RowWho does not change.
type RowWho struct {
	Name       string `json:"name,omitempty"`
	User       string `json:"user"`
	Attempt    int    `json:"attempt"`
	Generation int    `json:"generation,omitempty"` // from 2
	Created    int64  `json:"created"`
}

// RowLife is the lifecycle and the clock.
type RowLife struct {
	Version int64       `json:"version"`
	State   vigil.State `json:"state"`
	Changed int64       `json:"changed"`
	By      string      `json:"by,omitempty"`
	Reason  string      `json:"reason,omitempty"`
	Started int64       `json:"started,omitempty"`
	Ended   int64       `json:"ended,omitempty"`
	End     int64       `json:"end,omitempty"`  // deadline; 0: none
	Left    int64       `json:"left,omitempty"` // while paused
	Granted int64       `json:"granted,omitempty"`
	Control []string    `json:"control,omitempty"` // Assessment Control actions that the platform offers
	Opened  int64       `json:"opened,omitempty"`  // when the platform opened the attempt, as it says
	Pauses  []RowPause  `json:"pauses,omitempty"`  // finished ones, oldest first

	Counted        bool  `json:"counted,omitempty"`         // it is counted how long the attempt was watched
	Unwatched      int64 `json:"unwatched,omitempty"`       // since when nobody watched the attempt
	UnwatchedEnd   int64 `json:"unwatched_end,omitempty"`   // when that ended; 0: it goes on
	UnwatchedRoom  bool  `json:"unwatched_room,omitempty"`  // many others had the same
	UnwatchedMaybe bool  `json:"unwatched_maybe,omitempty"` // and it is not known whether the attempt had begun
}

// RowPause is a stretch in which the attempt's clock stood.
type RowPause struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// RowConn is the connection.
type RowConn struct {
	Conn  vigil.Connection `json:"c"`
	Since int64            `json:"since,omitempty"`
	Heard int64            `json:"heard,omitempty"`
	Epoch int64            `json:"epoch,omitempty"`
	Cause vigil.Cause      `json:"cause,omitempty"`
	Page  int              `json:"page,omitempty"`

	Reports int64 `json:"reports,omitempty"` // since when connections have reported without a break; 0: none does
	Watched int64 `json:"watched,omitempty"` // how long those before that watched the attempt
}

// RowTally is the counts.
type RowTally struct {
	Signals   int        `json:"signals"`
	Incidents int        `json:"incidents"`
	Open      int        `json:"open"`
	Severity  float64    `json:"severity"`
	LastKind  vigil.Kind `json:"last_kind,omitempty"`
	LastAt    int64      `json:"last_at,omitempty"`
	Hand      int64      `json:"hand,omitempty"`
	Unread    int        `json:"unread,omitempty"`
}

// RowMonitor is whether the monitor answers when it is asked, and its totals. Of two the one with
// the later Since counts, and then the one with the later Heard.
type RowMonitor struct {
	State   vigil.MonitorState `json:"state"`
	Since   int64              `json:"since"`
	Heard   int64              `json:"heard,omitempty"` // its last answer
	Pages   int64              `json:"pages,omitempty"`
	Visible int64              `json:"visible,omitempty"`
	Hidden  int64              `json:"hidden,omitempty"`
	Focus   int64              `json:"focus,omitempty"`
	Focused int64              `json:"focused,omitempty"`
}

// RowLost is the ledger of lost time in sums. Version grows with each change of the ledger: of two
// the higher counts, whichever comes first.
type RowLost struct {
	Version  int64 `json:"version"`
	Gaps     int   `json:"gaps"`     // that have ended
	Total    int64 `json:"total"`    // of them
	Proposed int64 `json:"proposed"` // undecided
	Granted  int64 `json:"granted"`
}

// RowGroups are those of the student's groups at the platform that the proctor may know of.
type RowGroups struct {
	Version int64         `json:"version"`
	List    []vigil.Group `json:"list"`
}

// SessionDelta changes one row, or adds it.
type SessionDelta struct {
	T   Type `json:"t"`
	Row Row  `json:"row"`
}

// SignalDown is a signal as proctors see it, at once; storing follows. A signal that
// comes again has the same Stream and Seq.
type SignalDown struct {
	T        Type            `json:"t"`
	Session  string          `json:"session"`
	Stream   string          `json:"stream"`
	Seq      int64           `json:"seq"`
	Kind     vigil.Kind      `json:"kind"`
	Severity float64         `json:"severity"`
	Incident bool            `json:"incident,omitempty"`
	At       int64           `json:"at"`
	Recv     int64           `json:"recv"`
	Dur      int64           `json:"dur,omitempty"`
	Data     json.RawMessage `json:"data,omitempty"`
}

// GapDown tells proctors that a gap opened, ended or was decided.
type GapDown struct {
	T        Type              `json:"t"`
	Session  string            `json:"session"`
	ID       string            `json:"id"`
	Start    int64             `json:"start"`
	End      int64             `json:"end,omitempty"`
	Cause    vigil.Cause       `json:"cause"`
	Proposed int64             `json:"proposed,omitempty"`
	Decision vigil.GapDecision `json:"decision,omitempty"`
}

// Progress says how far a command got with one session.
type Progress struct {
	T       Type              `json:"t"`
	ID      string            `json:"id"`
	Session string            `json:"session"`
	Kind    vigil.CommandKind `json:"kind"`
	Stage   vigil.Stage       `json:"stage"`
	Problem string            `json:"problem,omitempty"`
	LMS     *LMSProgress      `json:"lms,omitempty"`
	At      int64             `json:"at"`
	By      string            `json:"by,omitempty"`
}

// LMSProgress is what the platform answered.
type LMSProgress struct {
	State   vigil.LMSState `json:"state"`
	Status  string         `json:"status,omitempty"`
	Problem string         `json:"problem,omitempty"`
	At      int64          `json:"at,omitempty"`
}

// Pulse tells a proctor every few seconds that quiet is not broken.
type Pulse struct {
	T   Type  `json:"t"`
	Now int64 `json:"now"`
}

// Problem is the body of a refused upgrade (RFC 9457), and what the token endpoint
// answers, too: browsers cannot read the former.
type Problem struct {
	Type   string     `json:"type"`
	Title  string     `json:"title"`
	Status int        `json:"status"`
	Detail string     `json:"detail"`
	Code   vigil.Code `json:"code"`
	Duty   Duty       `json:"duty"`
	Wait   int64      `json:"wait,omitempty"` // ms
}
