CREATE TABLE "outbox_messages" (
	"tenant_id" text NOT NULL,
	"user_id" text NOT NULL,
	"message_id" text NOT NULL,
	"channel" text NOT NULL,
	"kind" text NOT NULL,
	"idempotency_key" text NOT NULL,
	"data" json NOT NULL,
	"sealed_content" "bytea",
	"state" text NOT NULL,
	"attempts" integer NOT NULL,
	"lease_id" text,
	"next_attempt_time" timestamp (3) with time zone NOT NULL,
	"expire_time" timestamp (3) with time zone NOT NULL,
	"provider" text NOT NULL,
	"last_error" text NOT NULL,
	"create_time" timestamp (3) with time zone NOT NULL,
	"update_time" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "outbox_messages_tenant_id_message_id_pk" PRIMARY KEY("tenant_id","message_id")
);
--> statement-breakpoint
CREATE UNIQUE INDEX "outbox_messages_by_key" ON "outbox_messages" USING btree ("tenant_id","idempotency_key");--> statement-breakpoint
CREATE INDEX "outbox_messages_by_user" ON "outbox_messages" USING btree ("tenant_id","user_id","create_time");--> statement-breakpoint
CREATE INDEX "outbox_messages_due" ON "outbox_messages" USING btree ("state","channel","next_attempt_time");