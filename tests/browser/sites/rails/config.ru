# A form of Rails's with its protection from forgery, in development, where Rails knows few hosts; with ANY_HOST set, all.
require "rails"
require "action_controller/railtie"

class Site < Rails::Application
  config.load_defaults 6.1
  config.eager_load = false
  config.secret_key_base = "of a test"
  config.logger = Logger.new($stdout)
  config.hosts.clear if ENV["ANY_HOST"]
end

Site.initialize!
Site.routes.draw do
  get "/", to: "pages#show"
  post "/", to: "pages#save"
  get "/saved", to: "pages#saved", as: :saved
end

class PagesController < ActionController::Base
  include Site.routes.url_helpers

  PAGE = <<~HTML
    <!doctype html>
    <%= form_with(url: "", local: true) do |form| %>
      <%= form.text_field :word, id: nil %><button>Save</button>
    <% end %>
    <p id="address"><%= request.base_url %></p>
  HTML

  def show
    render inline: PAGE
  end

  def save
    cookies[:word] = { value: params[:word], secure: request.ssl? }
    redirect_to saved_url
  end

  def saved
    render inline: "<!doctype html><p id=word><%= cookies[:word] %></p>"
  end
end

run Site
