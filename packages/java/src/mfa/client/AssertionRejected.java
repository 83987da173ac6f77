package mfa.client;

/** The assertion does not hold, and never will. The message is for the log; whoever sent the assertion learns none. */
public class AssertionRejected extends Exception {
  private static final long serialVersionUID = 1L;

  AssertionRejected(String message) {
    super(message);
  }
}
