CREATE INDEX "request_ids_by_end" ON "request_ids" USING btree ("expire_time");--> statement-breakpoint
CREATE INDEX "tickets_by_end" ON "tickets" USING btree ("expire_time");--> statement-breakpoint
CREATE INDEX "totp_devices_by_end" ON "totp_devices" USING btree ("expire_time") WHERE "totp_devices"."expire_time" is not null;--> statement-breakpoint
CREATE INDEX "otp_addresses_by_end" ON "otp_addresses" USING btree ("expire_time") WHERE "otp_addresses"."expire_time" is not null;--> statement-breakpoint
CREATE INDEX "otp_challenges_by_end" ON "otp_challenges" USING btree ("expire_time");--> statement-breakpoint
CREATE INDEX "backup_code_sets_by_end" ON "backup_code_sets" USING btree ("expire_time") WHERE "backup_code_sets"."expire_time" is not null;--> statement-breakpoint
CREATE INDEX "temporary_passes_by_end" ON "temporary_passes" USING btree ("expire_time");--> statement-breakpoint
CREATE INDEX "challenges_by_end" ON "challenges" USING btree ("expire_time");--> statement-breakpoint
CREATE INDEX "webauthn_ceremonies_by_end" ON "webauthn_ceremonies" USING btree ("expire_time");--> statement-breakpoint
CREATE INDEX "assertions_by_end" ON "assertions" USING btree ("expire_time");--> statement-breakpoint
CREATE INDEX "trusted_devices_by_end" ON "trusted_devices" USING btree ("expire_time");--> statement-breakpoint
CREATE INDEX "push_devices_by_end" ON "push_devices" USING btree ("expire_time") WHERE "push_devices"."expire_time" is not null;